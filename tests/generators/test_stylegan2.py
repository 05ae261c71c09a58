"""StyleGAN2: its parts follow their formulas, it learns classes and colours, and goes on exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from cl_bench import checkpoint
from cl_bench import state as states
from cl_bench.checkpoint import kept_in
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.generators import stylegan2
from cl_bench.generators.stylegan2 import PathLength, StyleGAN2, StyleGAN2Options, r1
from cl_bench.generators.stylegan2_networks import (
    Discriminator,
    GeneratorNetwork,
    Linear,
    ModulatedConv,
    Synthesis,
    enlarged,
    group_deviation,
    layout,
)
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec, TaskStream
from cl_bench.training import Average


def spec_of(*shape: int, classes: int = 2) -> StreamSpec:
    return StreamSpec("image", shape, tuple(f"class {c}" for c in range(classes)), 1)


def make(spec: StreamSpec, progress: Progress | None = None, **options: object) -> StyleGAN2:
    small = {"width": 8, "latent": 16, "batch": 16} | options
    with isolated(0, "init"):
        return StyleGAN2(
            spec,
            StyleGAN2Options(**small),  # type: ignore[arg-type]
            torch.device("cpu"),
            progress or Progress(quiet=True),
        )


def noisy(n: int, channels: int = 1, size: int = 8, classes: int = 2) -> Samples:
    with isolated(0, "data"):
        x = torch.randint(0, 256, (n, channels, size, size)).to(torch.uint8)
    return Samples.real(x, torch.arange(n) % classes)


def fit(generator: StyleGAN2, data: Samples) -> None:
    with isolated(0, "fit"):
        generator.fit(data)


def sampled(generator: StyleGAN2, labels: Tensor) -> Tensor:
    with isolated(0, "sample"):
        return generator.sample(labels)


@pytest.fixture
def seeded() -> Iterator[None]:
    with isolated(0, "test"):
        yield


# The networks


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_the_papers_with_weights_of_each_image(seeded: None, demodulate: bool) -> None:
    conv = ModulatedConv(6, 5, 3, 7, demodulate)
    x, w = torch.randn(4, 6, 9, 8), torch.randn(4, 7)
    weight = conv.weight * conv.scale * conv.style(w).view(4, 1, 6, 1, 1)  # eq. 1
    if demodulate:
        weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()  # eq. 3
    grouped = functional.conv2d(x.reshape(1, 24, 9, 8), weight.flatten(0, 1), padding=1, groups=4)
    assert torch.allclose(conv(x, w), grouped.view(4, 5, 9, 8), atol=1e-5)


def test_demodulation_keeps_unit_variance(seeded: None) -> None:
    conv = ModulatedConv(16, 8, 3, 4)
    with torch.no_grad():
        out = conv(torch.randn(8, 16, 66, 66), 5 * torch.randn(8, 4))[:, :, 1:-1, 1:-1]
    # 4,096 values of each output channel of each image.
    assert (out.var((2, 3)) - 1).abs().max() < 0.2
    assert out.var().item() == pytest.approx(1, abs=0.01)


def test_linear_rate_changes_the_step_not_the_output(seeded: None) -> None:
    slow = Linear(64, 64, bias=1.0, rate=0.01)
    x = torch.randn(500, 64)
    assert slow(x).var(0).mean().item() == pytest.approx(1, abs=0.15)
    assert slow(x).mean().item() == pytest.approx(1, abs=0.1)
    before = slow(x)
    with torch.no_grad():
        slow.weight += 1  # as much as an optimiser would move any weight
    assert torch.allclose(slow(x) - before, 0.01 * x.sum(1, keepdim=True) / 8, atol=1e-4)


def test_enlarging_is_the_filter_of_the_paper(seeded: None) -> None:
    x = torch.randn(1, 1, 6, 6)
    spread = torch.zeros(1, 1, 12, 12)
    spread[:, :, ::2, ::2] = x
    taps = torch.tensor([1.0, 3, 3, 1]) / 4
    filtered = functional.conv2d(functional.pad(spread, (2, 1, 2, 1)), (taps[:, None] * taps)[None, None])
    assert torch.allclose(enlarged(x)[:, :, 2:-2, 2:-2], filtered[:, :, 2:-2, 2:-2], atol=1e-6)


@pytest.mark.parametrize(
    ("side", "start", "sizes"),
    [
        (8, 4, [16, 8]),
        (16, 4, [32, 16, 8]),
        (28, 7, [32, 16, 8]),
        (32, 4, [64, 32, 16, 8]),
        (64, 4, [64, 64, 32, 16, 8]),
        (30, 8, [32, 16, 8]),
    ],
)
def test_layout(side: int, start: int, sizes: list[int]) -> None:
    assert layout((3, side, side), 8) == ((start, start), sizes)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 30, 17), (3, 64, 64), (2, 4, 4)])
def test_networks_take_any_size(shape: tuple[int, ...], seeded: None) -> None:
    net, critic = GeneratorNetwork(shape, 3, 8, 2, 0.01, 2), Discriminator(shape, 3, 2)
    y = torch.tensor([0, 1, 2])
    x = net(y, *net.draw(len(y), y.device))
    assert x.shape == (3, *shape)
    assert critic(x, y).shape == (3,)


def test_noise_inputs_matter_once_their_strength_is_learned(seeded: None) -> None:
    net = Synthesis((1, 16, 16), 8, 4)
    w = torch.randn(1, 8)
    first, second = ([torch.randn(1, *shape) for shape in net.noise_shapes] for _ in range(2))
    assert torch.equal(net(w, *first), net(w, *second))
    torch.nn.init.ones_(net.refining[-1].strength)
    assert not torch.allclose(net(w, *first), net(w, *second))


def test_group_deviation(seeded: None) -> None:
    x = torch.randn(8, 3, 2, 2)
    found = group_deviation(x).flatten()
    # Groups are images 0 to 3 and 4 to 7.
    expected = x[:4].std(0, correction=0).mean()
    assert torch.allclose(found[:4], expected.expand(4))
    assert torch.allclose(group_deviation(x[4:]).flatten(), found[4:])
    assert group_deviation(x[:7]).abs().max() < 1e-3  # 7 images cannot be grouped
    assert group_deviation(x[:1].repeat(4, 1, 1, 1)).abs().max() < 1e-3


# The losses


def test_r1_of_a_linear_discriminator_is_its_squared_norm(seeded: None) -> None:
    weight = torch.randn(3, 4, 4, requires_grad=True)
    x, y = torch.randn(5, 3, 4, 4), torch.zeros(5).long()
    penalty = r1(lambda x, y: (weight * x).sum((1, 2, 3)) + y, x, y)
    assert penalty.item() == pytest.approx(weight.square().sum().item(), rel=1e-5)
    penalty.backward()
    assert torch.allclose(weight.grad, 2 * weight.detach(), rtol=1e-4)  # type: ignore[arg-type]


def test_path_length_of_a_linear_generator_is_its_closed_form(seeded: None) -> None:
    class LinearSynthesis(torch.nn.Module):
        """x = w times a factor, one pixel per dimension: ‖Jᵀu‖ = factor ‖u‖."""

        shape, noise_shapes = (1, 16, 16), ()

        def forward(self, w: Tensor) -> Tensor:
            return 3 * w.view(-1, 1, 16, 16)

    net = GeneratorNetwork((1, 16, 16), 2, 256, 1, 0.01, 2)
    path, y = PathLength(decay=0.0), torch.zeros(200).long()
    net.synthesis = LinearSynthesis()  # type: ignore[assignment]
    penalty, length = path(net, y, *path.draw(net, y))
    path.update(length.item())
    # u is N(0, 1/256) in 256 dimensions: ‖u‖ has mean about 1 and variance about 1/512.
    assert path.mean.item() == pytest.approx(3, rel=0.01)
    assert penalty.item() == pytest.approx(9 / 512, rel=0.3)


def test_path_length_mean_starts_at_the_first_lengths(seeded: None) -> None:
    net, path, y = GeneratorNetwork((1, 8, 8), 2, 8, 1, 0.01, 2), PathLength(), torch.zeros(4).long()

    def penalised() -> None:
        path.update(path(net, y, *path.draw(net, y))[1].item())

    penalised()
    first = path.mean.item()
    assert first > 0.1
    with torch.no_grad():
        for to_image in net.synthesis.image:
            to_image.conv.weight.zero_()
    penalised()  # all lengths are about 0 now
    assert path.mean.item() == pytest.approx(0.99 * first, rel=1e-3)


def test_ema_formula() -> None:
    net, averaged = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    for module, value in ((net, 1.0), (averaged, 0.0)):
        for parameter in module.parameters():
            torch.nn.init.constant_(parameter, value)
    average = Average(net, averaged, 0.9)
    average.update(0)  # decay (1 + 0)/(10 + 0)
    assert averaged.weight.item() == pytest.approx(0.9)
    average.update(1000)
    assert averaged.weight.item() == pytest.approx(0.9 * 0.9 + 0.1)


def test_lazy_regularisation_slows_adam() -> None:
    net = torch.nn.Linear(1, 1)
    group = stylegan2.lazy_adam(net, 1e-3, 16).param_groups[0]
    assert group["lr"] == pytest.approx(1e-3 * 16 / 17)
    assert group["betas"] == pytest.approx((0.0, 0.99 ** (16 / 17)))
    assert stylegan2.lazy_adam(net, 1e-3, None).param_groups[0]["lr"] == 1e-3


# The whole


def test_default_weights_of_the_penalties() -> None:
    generator = make(spec_of(3, 32, 32), batch=64)
    assert generator.r1_weight == pytest.approx(0.0002 * 1024 / 64)
    # ln 2 / (r² (ln r − ln 2)) for u of unit variance, r² of it for ours.
    assert generator.path_weight == pytest.approx(math.log(2) / (math.log(32) - math.log(2)))


def test_classes_differ_in_the_right_direction() -> None:
    """Class 0 is dark, class 1 bright."""
    x = torch.tensor([40, 215], dtype=torch.uint8).repeat(32).view(64, 1, 1, 1).expand(-1, 1, 8, 8)
    generator = make(spec_of(1, 8, 8), steps=150)
    fit(generator, Samples.real(x.contiguous(), torch.arange(64) % 2))
    dark, bright = sampled(generator, torch.arange(2).repeat_interleave(50)).float().split(50)
    assert dark.mean() < 90
    assert bright.mean() > 165


def test_learns_where_the_ink_of_real_digits_is(digits: TaskStream) -> None:
    data = digits.tasks[0].train
    a, b = data.classes
    generator = make(digits.spec, steps=250)
    fit(generator, data)
    y = torch.tensor([a, b]).repeat_interleave(100)
    samples = sampled(generator, y).float()
    real = torch.stack([data.of([c]).x.float().mean(0) for c in (a, b)])
    fake = torch.stack([samples[y == c].mean(0) for c in (a, b)])
    distance = (fake[:, None] - real[None]).square().flatten(2).mean(2)
    assert distance.argmin(1).tolist() == [0, 1]


def test_pure_red_stays_red() -> None:
    x = torch.zeros(64, 3, 8, 8, dtype=torch.uint8)
    x[:, 0] = 255
    generator = make(spec_of(3, 8, 8), steps=150)
    fit(generator, Samples.real(x, torch.arange(64) % 2))
    sample = sampled(generator, torch.zeros(20).long()).float()
    assert sample[:, 0].mean() > 200
    assert sample[:, 1:].mean() < 55


def test_training_goes_on_exactly_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stops(Progress):
        def steps(self, total: int, what: str, done: int = 0, batch: int = 0) -> Iterator[int]:
            for step in range(done, total):
                if step == 11:
                    raise KeyboardInterrupt
                yield step

    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    spec, data = spec_of(1, 8, 8), noisy(40)
    whole = make(spec, steps=20)
    fit(whole, data)
    with pytest.raises(KeyboardInterrupt), kept_in(tmp_path):
        fit(make(spec, Stops(quiet=True), steps=20), data)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = make(spec, steps=20)
    with isolated(1, "another seed"), kept_in(tmp_path):
        resumed.fit(data)
    assert states.equal(resumed.state_dict(), whole.state_dict())
    assert list(tmp_path.iterdir()) == []


def test_a_restored_copy_samples_and_trains_the_same() -> None:
    spec, data = spec_of(1, 8, 8), noisy(40)
    generator = make(spec, steps=9)
    generator.augment.p.fill_(0.3)
    fit(generator, data)
    assert generator.augment.p > 0
    assert generator.path.mean > 0
    copy = make(spec, steps=9)
    copy.load_state_dict(generator.state_dict())
    y = torch.arange(2).repeat(5)
    assert torch.equal(sampled(copy, y), sampled(generator, y))
    for one in (generator, copy):
        fit(one, data)
    assert states.equal(copy.state_dict(), generator.state_dict())


def test_an_image_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = make(spec_of(1, 28, 28))
    torch.nn.init.ones_(generator.averaged.synthesis.refining[-1].strength)
    y = torch.arange(2).repeat(4)
    together = sampled(generator, y).int()
    assert (together[0] - together[2]).abs().max() > 1  # noise of its own for each
    monkeypatch.setattr(generator.batched, "size", 3)
    assert (sampled(generator, y).int() - together).abs().max() <= 1
    assert (sampled(generator, y[:2]).int() - together[:2]).abs().max() <= 1


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
        one.path.mean.fill_(1.0)  # the first lengths are each part's own
        fit(one, data)
    assert "out of memory: batches of 16 in 4 parts from here on" in capsys.readouterr().err
    start = parameters_to_vector(make(spec).net.parameters())
    moved = [parameters_to_vector(one.net.parameters()) - start for one in (whole, parted)]
    assert (moved[0] - moved[1]).norm() < 1e-2 * moved[0].norm()  # each part's own lengths move their mean


def test_sampling_uses_the_averaged_weights() -> None:
    generator = make(spec_of(1, 8, 8))
    y = torch.arange(2)
    before = sampled(generator, y)
    torch.nn.init.zeros_(generator.net.synthesis.constant)
    assert torch.equal(sampled(generator, y), before)
    assert before.dtype == torch.uint8
    assert tuple(generator.sample(torch.empty(0).long()).shape) == (0, 1, 8, 8)


@pytest.mark.parametrize(
    "options",
    [
        {"r1": 0.0},
        {"path_length": 0.0},
        {"augment": 0.0},
        {"augment": 0.5},
        {"augment_target": -0.9},
        {"bf16": "on"},
        {"ema": 0.0},
        {"mapping_layers": 1},
    ],
    ids=str,
)
def test_every_option_has_an_effect(options: dict[str, object]) -> None:
    spec, data = spec_of(3, 8, 8), noisy(32, 3)
    plain, other = make(spec, steps=9), make(spec, steps=9, **options)
    for one in (plain, other):
        fit(one, data)
    if plain.state_dict().keys() == other.state_dict().keys():
        assert not states.equal(plain.state_dict(), other.state_dict())


def test_options_without_effect_are_refused() -> None:
    with pytest.raises(UserError, match=r"augment_target has no effect on a fixed augment=0\.5"):
        make(spec_of(1, 8, 8), augment=0.5, augment_target=0.5)


def test_vectors_are_refused() -> None:
    with pytest.raises(UserError, match="not vector data"):
        make(StreamSpec("vector", (8,), ("a",), 1))


@pytest.mark.parametrize(("network", "named"), [("critic", "discriminator"), ("net", "generator")])
def test_divergence_stops_training(network: str, named: str) -> None:
    generator = make(spec_of(1, 8, 8), steps=5, ema=0.5)
    if network == "critic":
        torch.nn.init.constant_(generator.critic.real.bias, math.nan)
    else:
        real, fakes = generator.critic.forward, iter(range(100))

        def broken(x: Tensor, y: Tensor) -> Tensor:
            return real(x, y) * (math.nan if next(fakes) == 3 else 1)  # fake, real, R1, and then G's turn

        generator.critic.forward = broken  # type: ignore[method-assign]
    with pytest.raises(TrainingDiverged, match=f"generator stylegan2, {named}: the loss is nan at step 1"):
        fit(generator, noisy(32))
