"""WGAN: the penalty's gradient, the clip, its state, and a mixture that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl_bench.benchmarks.mixtures import GMM5, GMM5Options
from cl_bench.errors import UserError
from cl_bench.generators.wgan import WGAN, Perceptron, WGANOptions
from cl_bench.metrics.modes import modes
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.state import equal
from cl_bench.stream import StreamSpec

CPU = torch.device("cpu")


def make(classes: int = 1, size: int = 2, **options: object) -> WGAN:
    spec = StreamSpec("vector", (size,), tuple(map(str, range(classes))), 1)
    with isolated(0, "init"):
        return WGAN(spec, WGANOptions(**options), CPU, Progress(quiet=True))  # type: ignore[arg-type]


def fitted(generator: WGAN, data: Samples) -> WGAN:
    with isolated(0, "fit"):
        generator.fit(data)
    return generator


def drawn(generator: WGAN, y: Tensor) -> Tensor:
    with isolated(0, "draw"):
        return generator.sample(y)


def test_the_penalty_is_that_of_differentiating_twice() -> None:
    torch.manual_seed(0)
    net, x = Perceptron(3, 16, 1).double(), torch.randn(20, 3, dtype=torch.float64)
    by_product = (net.gradient(x).norm(dim=1) - 1).square().mean()
    by_product.backward()
    got = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    (slope,) = torch.autograd.grad(net(x.requires_grad_()).sum(), x, create_graph=True)
    (slope.norm(dim=1) - 1).square().mean().backward()
    assert torch.allclose(net.gradient(x), slope, atol=1e-12)
    for name, mine, parameter in zip(dict(net.named_parameters()), got, net.parameters(), strict=True):
        # Biases move the masks only: both ways give them nothing.
        mine = torch.zeros_like(parameter) if mine is None else mine
        twice = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert torch.allclose(mine, twice, atol=1e-12), name


def test_the_critics_loss_is_algorithm_1() -> None:
    generator = make(gradient_weight=10.0)
    torch.manual_seed(1)
    real, fake, label = torch.randn(8, 2), torch.randn(8, 2), torch.empty(8, 0)
    with isolated(0, "u"):
        found = generator._critic_loss(real, fake, label)
    with isolated(0, "u"):
        u = torch.rand(8, 1)
    between = (u * real + (1 - u) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(generator.critic(between).sum(), between)
    expected = generator.critic(fake).mean() - generator.critic(real).mean()
    expected = expected + 10 * (slope.norm(dim=1) - 1).square().mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_is_taken_in_the_data_alone() -> None:
    generator = make(classes=2)
    torch.manual_seed(1)
    real = fake = torch.randn(4, 2)
    label = torch.eye(2)[torch.tensor([0, 1, 0, 1])]
    found = generator._critic_loss(real, fake, label)
    slopes = generator.critic.gradient(torch.cat([real, label], 1))[:, :2]
    assert found.item() == pytest.approx(10 * (slopes.norm(dim=1) - 1).square().mean().item(), rel=1e-5)


def test_clipping_bounds_every_weight() -> None:
    data = Samples.real(torch.randn(50, 2), torch.zeros(50).long())
    generator = fitted(make(penalty="clipping", steps=3, clip=0.02), data)
    largest = max(p.abs().max().item() for p in generator.critic.parameters())
    assert largest == pytest.approx(0.02)
    assert max(p.abs().max().item() for p in generator.net.parameters()) > 0.02


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}, {"penalty": "clipping"}])
def test_a_copy_goes_on_bit_for_bit(options: dict[str, object]) -> None:
    torch.manual_seed(0)
    data = Samples.real(torch.randn(50, 3), torch.arange(50) % 2)
    one, two = make(2, 3, steps=4, **options), make(2, 3, steps=4, **options)
    fitted(one, data)
    two.load_state_dict(one.state_dict())
    y = torch.arange(10) % 2
    assert torch.equal(drawn(one, y), drawn(two, y))
    assert equal(fitted(one, data).state_dict(), fitted(two, data).state_dict())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"penalty": "clipping", "gradient_weight": 1.0}, "gradient_weight has no effect"),
        ({"clip": 0.1}, "clip has no effect"),
    ],
)
def test_an_option_without_effect_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        WGANOptions(**given)  # type: ignore[arg-type]


def test_images_are_sent_to_resnet_gan() -> None:
    with pytest.raises(UserError, match="resnet-gan"):
        WGAN(StreamSpec("image", (1, 8, 8), ("a",), 1), WGANOptions(), CPU, Progress(quiet=True))


@pytest.mark.slow
@pytest.mark.parametrize("penalty", ["gradient", "clipping"])
def test_five_gaussians_are_found(penalty: str) -> None:
    benchmark = GMM5(GMM5Options())
    data, law = benchmark.build().tasks[0].train, benchmark.law()
    generator = fitted(make(penalty=penalty, steps=2000), data)
    found = modes(drawn(generator, torch.zeros(5000).long()).numpy(), law.centres[0].numpy(), 0.3)
    print(penalty, found.covered(), found.high_quality, found.total_variation)
    assert found.covered() == 1
    assert found.high_quality > 0.6
    assert found.total_variation < 0.2
