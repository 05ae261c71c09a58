"""The ResNet GAN: published sizes, its losses by closed forms, what it learns, and going on exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from cl_bench import checkpoint
from cl_bench import state as states
from cl_bench.checkpoint import kept_in
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.generators.player import Player
from cl_bench.generators.resnet_gan import ResNetGAN, ResNetGANOptions, logits_and_r1
from cl_bench.generators.resnet_gan_networks import Block, Discriminator, GeneratorNetwork, geometry
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec, TaskStream
from cl_bench.training import Loss


def spec_of(*shape: int, classes: int = 2) -> StreamSpec:
    return StreamSpec("image", shape, tuple(f"class {c}" for c in range(classes)), 1)


def make(spec: StreamSpec, progress: Progress | None = None, **options: object) -> ResNetGAN:
    small = {"latent": 16, "embedding": 4, "batch": 16} | options
    with isolated(0, "init"):
        return ResNetGAN(
            spec,
            ResNetGANOptions(**small),  # type: ignore[arg-type]
            torch.device("cpu"),
            progress or Progress(quiet=True),
        )


def noisy(n: int, channels: int = 1, size: int = 8, classes: int = 2) -> Samples:
    with isolated(0, "data"):
        x = torch.randint(0, 256, (n, channels, size, size)).to(torch.uint8)
    return Samples.real(x, torch.arange(n) % classes)


def fit(generator: ResNetGAN, data: Samples) -> None:
    with isolated(0, "fit"):
        generator.fit(data)


def sampled(generator: ResNetGAN, labels: Tensor) -> Tensor:
    with isolated(0, "sample"):
        return generator.sample(labels)


@pytest.fixture
def seeded() -> Iterator[None]:
    with isolated(0, "test"):
        yield


# The networks


@pytest.mark.parametrize(
    ("side", "size", "generator", "discriminator"),
    [
        (256, "px256", 52_161_732, 47_952_065),
        (32, "px32", 10_393_220, 8_288_385),
        (32, "px32-wide", 33_086_596, 28_876_929),
        (64, "px64", 33_203_780, 28_994_113),
    ],
)
def test_parameters(side: int, size: str, generator: int, discriminator: int) -> None:
    """With one label of one dimension and 256 of noise, as GAN Memory's base; 256 pixels are published."""
    with torch.device("meta"):
        layout = geometry((3, side, side), size)  # type: ignore[arg-type]
        net, critic = GeneratorNetwork(layout, 256, 1, 1), Discriminator(layout, 1)
    assert sum(p.numel() for p in net.parameters()) == generator
    assert sum(p.numel() for p in critic.parameters()) == discriminator


def test_the_published_geometry() -> None:
    layout = geometry((3, 256, 256), "px256")
    assert layout.start == (4, 4)
    assert layout.widths == tuple(64 * k for k in (16, 16, 16, 8, 4, 2, 1, 1))
    assert layout.kernel == 7


@pytest.mark.parametrize(
    ("shape", "start", "blocks"),
    [
        ((1, 8, 8), (4, 4), 2),
        ((1, 28, 28), (7, 7), 3),
        ((3, 32, 32), (4, 4), 4),
        ((3, 64, 64), (4, 4), 5),
        ((1, 30, 17), (8, 5), 3),
        ((2, 4, 4), (2, 2), 2),
    ],
)
def test_networks_take_any_size(
    shape: tuple[int, ...], start: tuple[int, int], blocks: int, seeded: None
) -> None:
    layout = geometry(shape, "tiny")
    assert (layout.start, len(layout.widths)) == (start, blocks + 1)
    net, critic = GeneratorNetwork(layout, 8, 3, 4), Discriminator(layout, 3)
    y = torch.tensor([0, 1, 2])
    x = net(torch.randn(3, 8), y)
    assert x.shape == (3, *shape)
    assert x.abs().max() <= 1
    assert critic(x, y).shape == (3,)


def test_a_block_adds_a_tenth_of_its_residual(seeded: None) -> None:
    same, other = Block(4, 4), Block(4, 6)
    x = torch.randn(2, 4, 5, 5)
    for block in (same, other):
        with torch.no_grad():
            block.second.weight.zero_()
            block.second.bias.fill_(3.0)  # type: ignore[union-attr]
    assert torch.allclose(same(x), x + 0.3)
    assert torch.allclose(other(x), other.shortcut(x) + 0.3)
    assert other.shortcut.bias is None
    assert other.first.out_channels == 4


def test_the_label_picks_its_logit(seeded: None) -> None:
    critic = Discriminator(geometry((1, 8, 8), "tiny"), 3)
    x = torch.randn(1, 1, 8, 8).expand(3, -1, -1, -1)
    before = critic(x, torch.arange(3))
    with torch.no_grad():
        critic.fc.bias[1] += 1
    assert torch.allclose(critic(x, torch.arange(3)) - before, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


# The losses


def test_r1_of_a_quadratic_discriminator_is_its_closed_form(seeded: None) -> None:
    weight = torch.randn(3, 4, 4, requires_grad=True)
    x, y = torch.randn(5, 3, 4, 4), torch.zeros(5).long()
    # D = Σ w x²/2: ∇_x D = w x, and of the mean of its square, ∇_w is 2 w E x².
    logits, penalty = logits_and_r1(lambda x, y: (weight * x * x).sum((1, 2, 3)) / 2 + y, x, y)
    assert penalty is not None
    assert torch.allclose(logits, (weight * x * x).sum((1, 2, 3)) / 2)
    assert penalty.item() == pytest.approx((weight * x).square().sum((1, 2, 3)).mean().item(), rel=1e-5)
    penalty.backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, 2 * weight.detach() * x.square().mean(0), rtol=1e-4)
    assert logits_and_r1(lambda x, y: x.sum((1, 2, 3)), x, y, regularised=False)[1] is None


class Line(torch.nn.Module):
    """D(x) = a · mean(x), which the penalty pulls to a = 0."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a * x.mean((1, 2, 3))


@pytest.mark.parametrize(("r1", "every", "gradient"), [(10.0, 1, 60 / 64), (10.0, 4, 240 / 64), (0.0, 1, 0)])
def test_the_penalty_is_multiplied_without_a_half(
    r1: float, every: int, gradient: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """‖∇_x D‖² is a²/64 for 64 values, c times that has the gradient 2 c a/64 in a; every k steps, k times
    that."""
    found = []
    descend = Player.descend

    def watched(player: Player, loss: Loss, inputs: Sequence[Tensor]) -> list[float]:
        if isinstance(player.net, Line):
            (slope,) = torch.autograd.grad(loss(*inputs), player.net.a)
            found.append(slope.item())
        return descend(player, loss, inputs)

    monkeypatch.setattr(Player, "descend", watched)
    slopes = {}
    for used in (r1, 0.0):
        generator = make(spec_of(1, 8, 8), steps=1, r1=used, r1_every=every)
        generator.critic = Line()  # type: ignore[assignment]
        fit(generator, noisy(16))
        slopes[used] = found[-1]
    assert slopes[r1] - slopes[0.0] == pytest.approx(gradient, abs=1e-4)


# The whole


def test_learns_where_the_ink_of_real_digits_is(digits: TaskStream) -> None:
    data = digits.tasks[0].train
    a, b = data.classes
    generator = make(digits.spec, steps=100, learning_rate=3e-3, r1=1.0, ema=0.95)
    fit(generator, data)
    y = torch.tensor([a, b]).repeat_interleave(100)
    samples = sampled(generator, y).float()
    real = torch.stack([data.of([c]).x.float().mean(0) for c in (a, b)])
    fake = torch.stack([samples[y == c].mean(0) for c in (a, b)])
    distance = (fake[:, None] - real[None]).square().flatten(2).mean(2)
    assert distance.argmin(1).tolist() == [0, 1]


@pytest.fixture
def stops() -> Progress:
    class Stops(Progress):
        def steps(self, total: int, what: str, done: int = 0, batch: int = 0) -> Iterator[int]:
            for step in range(done, total):
                if step == 5:
                    raise KeyboardInterrupt
                yield step

    return Stops(quiet=True)


def test_training_goes_on_exactly_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: Progress
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    spec, data = spec_of(1, 8, 8), noisy(40)
    whole = make(spec, steps=9)
    fit(whole, data)
    with pytest.raises(KeyboardInterrupt), kept_in(tmp_path):
        fit(make(spec, stops, steps=9), data)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = make(spec, steps=9)
    with isolated(1, "another seed"), kept_in(tmp_path):
        resumed.fit(data)
    assert states.equal(resumed.state_dict(), whole.state_dict())
    assert list(tmp_path.iterdir()) == []


def test_out_of_memory_parts_the_batch_and_trains_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory for 4 of 16 images: the same gradients. Without Adam, which makes full steps of rounding."""
    monkeypatch.setattr(torch.optim, "Adam", lambda weights, *_, **__: torch.optim.SGD(weights, 0.01))
    spec, data = spec_of(3, 8, 8), noisy(40, 3)
    whole, parted = make(spec, steps=3), make(spec, Progress(), steps=3)
    judged = parted.critic.forward

    def crowded(x: Tensor, y: Tensor) -> Tensor:
        if len(x) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return judged(x, y)

    parted.critic.forward = crowded  # type: ignore[method-assign]
    for one in (whole, parted):
        fit(one, data)
    assert "out of memory: batches of 16 in 4 parts from here on" in capsys.readouterr().err
    start = parameters_to_vector(make(spec).net.parameters())
    moved = [parameters_to_vector(one.net.parameters()) - start for one in (whole, parted)]
    assert (moved[0] - moved[1]).norm() < 1e-3 * moved[0].norm()


def test_sampling_uses_the_averaged_weights() -> None:
    generator = make(spec_of(1, 8, 8))
    y = torch.arange(2)
    before = sampled(generator, y)
    torch.nn.init.zeros_(generator.net.body.image.weight)
    assert torch.equal(sampled(generator, y), before)
    torch.nn.init.constant_(generator.averaged.body.image.bias, 5.0)
    assert sampled(generator, y).min() > 200
    assert before.dtype == torch.uint8
    assert tuple(generator.sample(torch.empty(0).long()).shape) == (0, 1, 8, 8)


def test_an_image_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = make(spec_of(1, 28, 28))
    y = torch.arange(2).repeat(4)
    together = sampled(generator, y).int()
    assert (together[0] - together[2]).abs().max() > 1  # noise of its own for each
    monkeypatch.setattr(generator.batched, "size", 3)
    assert (sampled(generator, y).int() - together).abs().max() <= 1


@pytest.mark.parametrize(
    "options",
    [{"r1": 0.0}, {"r1_every": 2}, {"learning_rate": 1e-3}, {"bf16": "on"}, {"ema": 0.0}, {"batch": 8}],
    ids=str,
)
def test_every_option_has_an_effect(options: dict[str, object]) -> None:
    spec, data = spec_of(3, 8, 8), noisy(32, 3)
    plain, other = make(spec, steps=3), make(spec, steps=3, **options)
    for one in (plain, other):
        fit(one, data)
    assert not states.equal(plain.state_dict(), other.state_dict())


def test_channels_last_is_the_same_function() -> None:
    spec, data = spec_of(3, 8, 8), noisy(32, 3)
    plain, other = make(spec, steps=3), make(spec, steps=3, channels_last="on")
    for one in (plain, other):
        fit(one, data)
    assert other.net.body.image.weight.is_contiguous(memory_format=torch.channels_last)
    for a, b in zip(plain.net.parameters(), other.net.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)  # a few steps of Adam at 1e-4


def test_vectors_are_refused() -> None:
    with pytest.raises(UserError, match="not vector data"):
        make(StreamSpec("vector", (8,), ("a",), 1))


@pytest.mark.parametrize(("network", "named"), [("critic", "generator"), ("net", "discriminator")])
def test_divergence_stops_training(network: str, named: str) -> None:
    """A bad discriminator shows in the generator's loss first, which comes first in a step."""
    generator = make(spec_of(1, 8, 8), steps=5)
    if network == "critic":
        torch.nn.init.constant_(generator.critic.fc.bias, math.nan)
    else:
        real, calls = generator.critic.forward, iter(range(100))

        def broken(x: Tensor, y: Tensor) -> Tensor:
            return real(x, y) * (math.nan if next(calls) == 1 else 1)

        generator.critic.forward = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingDiverged, match=f"generator resnet-gan, {named}: the loss is nan at step 1"):
        fit(generator, noisy(32))
