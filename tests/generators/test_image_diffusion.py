"""ddpm, edm and flow against the closed forms of Gaussian data, and on real digits."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl_bench.generator import Guide
from cl_bench.generators import ddpm, edm
from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.generators.edm import EDM, EDMOptions
from cl_bench.generators.flow import Flow, FlowOptions, coupled
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.seeds import isolated, per_sample
from cl_bench.stream import StreamSpec, TaskStream

CPU = torch.device("cpu")
KINDS = {"ddpm": (DDPM, DDPMOptions), "edm": (EDM, EDMOptions), "flow": (Flow, FlowOptions)}
MEAN, STD = 0.2, 0.1  # of the Gaussian data, well inside [−1, 1]


def new(kind: str, spec: StreamSpec, **options: object) -> Any:
    cls, make = KINDS[kind]
    with isolated(0, "generator"):
        return cls(spec, make(**options), CPU, Progress(quiet=True))


def posterior_mean(noisy: Tensor, alpha: Tensor | float, sigma: Tensor | float, std: float = STD) -> Tensor:
    """E[x | α x + σ ε] for x ~ N(MEAN, std²)."""
    gain = alpha * std**2 / (alpha**2 * std**2 + sigma**2)
    return MEAN + gain * (noisy - alpha * MEAN)


class Linear(nn.Module):
    """a x + b: all that the best network for Gaussian data at one noise level can be."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.a * x + self.b


def fitted(loss: Any, model: Linear, n: int = 200_000) -> None:
    """Minimise the generator's own loss; it is quadratic in a and b, so Newton's method does it in a step."""
    with isolated(0):
        x = MEAN + STD * torch.randn(n, 1, 1, 1)
    y = torch.zeros(n).long()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=50, tolerance_grad=1e-10)

    def closure() -> Tensor:
        optimiser.zero_grad()
        with isolated(1):
            value = loss(x, y)
        value.backward()
        return value

    optimiser.step(closure)


@pytest.mark.parametrize("prediction", ["v", "epsilon", "x0"])
@pytest.mark.parametrize("t", [100, 500, 900])
def test_ddpm_learns_the_posterior_mean_of_a_gaussian(prediction, t: int, monkeypatch) -> None:
    squared = ddpm._scheduler("ancestral").alphas_cumprod
    model = Linear()
    stub: Any = SimpleNamespace(
        forward=model,
        averaged=model,
        alphas=squared.sqrt(),
        sigmas=(1 - squared).sqrt(),
        options=DDPMOptions(prediction=prediction),
    )
    monkeypatch.setattr(torch, "randint", lambda high, size, device: torch.full(size, t))
    fitted(lambda x, y: DDPM.loss(stub, x, y, *DDPM.draw(stub, x, y)), model)
    noisy = torch.linspace(-1, 1, 9).view(-1, 1, 1, 1)
    times, labels = torch.full((9,), t / ddpm.TIMES), torch.zeros(9).long()
    expected = posterior_mean(noisy, stub.alphas[t], stub.sigmas[t])
    assert torch.allclose(DDPM.clean(stub, noisy, times, labels), expected, atol=0.02)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 2.0])
def test_edm_learns_the_posterior_mean_of_a_gaussian(sigma: float, monkeypatch) -> None:
    monkeypatch.setattr(edm, "LOG_MEAN", math.log(sigma))
    monkeypatch.setattr(edm, "LOG_STD", 0.0)
    model = Linear()
    stub: Any = SimpleNamespace(forward=model, averaged=model)
    fitted(lambda x, y: EDM.loss(stub, x, y, *EDM.draw(stub, x, y)), model)
    noisy = MEAN + sigma * torch.linspace(-2, 2, 9).view(-1, 1, 1, 1)
    times = edm.time_of(torch.full((9,), sigma))
    denoised = EDM.clean(stub, noisy, times, torch.zeros(9).long())
    assert torch.allclose(denoised, posterior_mean(noisy, 1.0, sigma), atol=0.01)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_flow_learns_the_velocity_of_a_gaussian(t: float, monkeypatch) -> None:
    model = Linear()
    stub: Any = SimpleNamespace(forward=model, averaged=model, options=FlowOptions(coupling="independent"))
    monkeypatch.setattr(torch, "rand", lambda n, device: torch.full((n,), t))
    fitted(lambda x, y: Flow.loss(stub, x, y, *Flow.draw(stub, x, y)), model)
    noisy = torch.linspace(-1, 1, 9).view(-1, 1, 1, 1)
    clean = posterior_mean(noisy, t, 1 - t)
    noise = (noisy - t * clean) / (1 - t)
    velocity = model(noisy, torch.tensor(t), torch.zeros(9))
    assert torch.allclose(velocity, clean - noise, atol=0.03)


SAMPLERS = [
    ("ddpm", {"sampler": "dpm-solver++"}),
    ("ddpm", {"sampler": "unipc"}),
    ("ddpm", {"sampler": "ddim", "sampling_steps": 100}),
    ("ddpm", {"sampler": "ancestral", "sampling_steps": 250}),
    ("edm", {}),
    ("flow", {"sampling_steps": 100}),
    ("flow", {"solver": "dopri5"}),
]


@pytest.mark.parametrize(("kind", "options"), SAMPLERS)
def test_samplers_follow_an_exact_denoiser_to_its_gaussian(kind: str, options, monkeypatch) -> None:
    spec = StreamSpec("image", (1, 8, 8), ("a",), 1)
    generator = new(kind, spec, **options)

    def exact(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        now = float(t[0])
        if kind == "ddpm":
            return posterior_mean(x, *ddpm.signal_and_noise(t[:1] * ddpm.TIMES))
        if kind == "edm":
            return posterior_mean(x, 1.0, edm.sigma_at(t[:1]))
        return posterior_mean(x, now, 1 - now)

    monkeypatch.setattr(generator, "clean", exact)
    with isolated(0):
        x = generator.denoise(per_sample(100), torch.zeros(100).long(), None)
    assert x.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert x.std().item() == pytest.approx(STD, rel=0.1)


@pytest.mark.parametrize("std", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("steps", [12, 20])
@pytest.mark.parametrize("sampler", ddpm.LOG_SPACED)
def test_few_steps_keep_the_deviation_even_of_narrow_data(
    sampler: str, steps: int, std: float, monkeypatch
) -> None:
    spec = StreamSpec("image", (1, 16, 16), ("a",), 1)
    generator = new("ddpm", spec, sampler=sampler, sampling_steps=steps)

    def exact(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return posterior_mean(x, *ddpm.signal_and_noise(t[:1] * ddpm.TIMES), std)

    monkeypatch.setattr(generator, "clean", exact)
    with isolated(0):
        x = generator.denoise(per_sample(100), torch.zeros(100).long(), None)
    print(f"\n{sampler}, {steps} steps, s = {std}: {x.std().item() / std:.3f} s")
    assert x.std().item() == pytest.approx(std, rel=0.04)


@pytest.fixture(scope="module")
def trained(digits: TaskStream) -> dict[str, Any]:
    """Each kind, trained briefly on the real digits 0 and 1."""
    found = {}
    for kind in KINDS:
        generator = new(kind, digits.spec, steps=120, batch=32, learning_rate=2e-3, ema=0.98)
        with isolated(0, "fit"):
            generator.fit(digits.tasks[0].train)
        found[kind] = generator
    return found


def drawn(generator: Any, labels: Tensor, guide: Guide | None = None) -> Tensor:
    with isolated(0, "sample"):
        return generator.sample(labels, guide)


@pytest.mark.parametrize("kind", KINDS)
def test_classes_look_like_themselves(trained, digits: TaskStream, kind: str) -> None:
    """Each sampled digit is nearer to the real mean of its own class than to the other's."""
    y = torch.tensor([0, 1]).repeat(20)
    x = drawn(trained[kind], y).float()
    assert x.shape == (40, 1, 8, 8)
    train = digits.tasks[0].train
    means = torch.stack([train.of((c,)).x.float().mean(0) for c in (0, 1)])
    nearest = (x[:, None] - means).square().flatten(2).sum(2).argmin(1)
    assert (nearest == y).float().mean() > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_sample_i_is_the_same_in_any_company(trained, kind: str, monkeypatch) -> None:
    generator, y = trained[kind], torch.tensor([0, 1]).repeat(5)
    many = drawn(generator, y)
    few = drawn(generator, y[:3])
    assert (many[:3].int() - few.int()).abs().max() <= 1
    monkeypatch.setattr(generator.batched, "size", 4)
    in_parts = drawn(generator, y)
    assert (many.int() - in_parts.int()).abs().max() <= 1
    assert len(many.flatten(1).unique(dim=0)) == 10
    assert drawn(generator, y[:0]).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_sampling_uses_the_averaged_weights(kind: str, digits: TaskStream) -> None:
    generator, y = new(kind, digits.spec), torch.tensor([0, 1])
    with isolated(0):
        # A UNet begins with zeros at its end.
        for weight in generator.averaged.net.conv_out.parameters():
            nn.init.normal_(weight, std=0.1)
    before = drawn(generator, y)
    for weight in generator.net.parameters():
        nn.init.constant_(weight, 7.0)
    assert torch.equal(drawn(generator, y), before)
    for weight in generator.averaged.net.conv_out.parameters():
        nn.init.zeros_(weight)
    assert not torch.equal(drawn(generator, y), before)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_on_while_training_and_off_while_sampling(kind: str, digits: TaskStream) -> None:
    generator = new(kind, digits.spec, steps=2, batch=4, dropout=0.5)
    modes: dict[str, list[bool]] = {"training": [], "sampling": []}

    def watch(network: nn.Module, into: str) -> None:
        dropouts = [module for module in network.modules() if isinstance(module, nn.Dropout)]
        assert dropouts
        assert {module.p for module in dropouts} == {0.5}
        for module in dropouts:
            module.register_forward_pre_hook(lambda module, _: modes[into].append(module.training))

    watch(generator.net, "training")
    watch(generator.averaged, "sampling")
    for _ in range(2):  # sampling in between must not switch it off for the next task
        generator.fit(digits.tasks[0].train)
        drawn(generator, torch.tensor([0, 1]))
    assert set(modes["training"]) == {True}
    assert set(modes["sampling"]) == {False}


@pytest.mark.parametrize("target", ["x0", "xt"])
@pytest.mark.parametrize("kind", KINDS)
def test_guidance_raises_the_guides_log_probability(trained, kind: str, target) -> None:
    """A guide that likes bright images: log p grows with the mean pixel."""

    def log_prob(x: Tensor, y: Tensor) -> Tensor:
        return 20 * x.flatten(1).mean(1)

    y = torch.zeros(8).long()
    plain = drawn(trained[kind], y)
    guided = drawn(trained[kind], y, Guide(log_prob, 3.0, target))
    assert log_prob(scaled(guided), y).mean() > log_prob(scaled(plain), y).mean() + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_guide_on_x_t_reads_images_of_the_usual_size(trained, kind: str) -> None:
    """Also where x_t = x + σ ε with σ up to 80."""
    sizes = []

    def log_prob(x: Tensor, y: Tensor) -> Tensor:
        sizes.append(x.square().mean().sqrt().item())
        return x.flatten(1).mean(1)

    drawn(trained[kind], torch.zeros(8).long(), Guide(log_prob, 1.0, "xt"))
    assert 0.3 < min(sizes) < max(sizes) < 1.3


@pytest.mark.parametrize("kind", KINDS)
def test_pure_red_stays_red(kind: str) -> None:
    x = torch.zeros(32, 3, 8, 8, dtype=torch.uint8)
    x[:, 0] = 255
    spec = StreamSpec("image", (3, 8, 8), ("red",), 1)
    generator = new(kind, spec, steps=120, batch=32, learning_rate=2e-3, ema=0.9)
    with isolated(0, "fit"):
        generator.fit(Samples.real(x, torch.zeros(32).long()))
    red, green, blue = drawn(generator, torch.zeros(8).long()).float().mean((0, 2, 3)).tolist()
    assert red > 200
    assert max(green, blue) < 55


@pytest.mark.parametrize("kind", KINDS)
def test_restored_it_samples_and_trains_on_the_same(trained, digits: TaskStream, kind: str) -> None:
    copy = new(kind, digits.spec)
    copy.load_state_dict(trained[kind].state_dict())
    y = torch.tensor([0, 1])
    assert torch.equal(drawn(copy, y), drawn(trained[kind], y))


def test_classifier_free_guidance_hides_labels_and_sharpens() -> None:
    spec = StreamSpec("image", (1, 8, 8), ("a", "b"), 1)
    generator = new("ddpm", spec, cfg=2.0)
    with isolated(0):
        hidden = generator._hidden(torch.zeros(2000).long())
    assert (hidden == 2).float().mean().item() == pytest.approx(0.1, abs=0.03)
    assert new("ddpm", spec).label_dropout == 0


@pytest.mark.parametrize("t", [0, 50, 900])
@pytest.mark.parametrize("min_snr", [None, 5.0])
def test_weights_of_the_loss(min_snr, t: int, monkeypatch) -> None:
    """A network that predicts zero has loss w(t) E‖target‖² = w(t) for unit data."""
    squared = ddpm._scheduler("ancestral").alphas_cumprod
    losses = {}
    monkeypatch.setattr(torch, "randint", lambda high, size, device: torch.full(size, t))
    for prediction in ("v", "epsilon", "x0"):
        stub: Any = SimpleNamespace(
            forward=lambda x, t, y: torch.zeros_like(x),
            alphas=squared.sqrt(),
            sigmas=(1 - squared).sqrt(),
            options=DDPMOptions(prediction=prediction, min_snr=min_snr),
        )
        with isolated(0):
            x, y = torch.randn(50_000, 1, 1, 1), torch.zeros(50_000)
            losses[prediction] = DDPM.loss(stub, x, y, *DDPM.draw(stub, x, y)).item()
    snr = float(squared[t] / (1 - squared[t]))
    weight = {"v": 1.0, "epsilon": 1.0, "x0": min(snr + 1, 400)}
    if min_snr is not None:
        least = min(snr, min_snr)
        weight = {"v": least / (snr + 1), "epsilon": least / snr, "x0": least}
    assert losses == pytest.approx(weight, rel=0.02)


def test_the_loss_of_x0_is_that_of_v() -> None:
    """‖v̂ − v‖² = ‖x̂ − x‖²/σ² for v̂ = (α x_t − x̂)/σ, the v that x̂ implies."""
    squared = ddpm._scheduler("ancestral").alphas_cumprod
    alphas, sigmas = squared.sqrt(), (1 - squared).sqrt()
    x, y = torch.rand(64, 1, 2, 2) * 2 - 1, torch.zeros(64).long()
    t, epsilon = torch.linspace(50, 999, 64).long(), torch.randn(64, 1, 2, 2)
    alpha, sigma = (values[t].view(-1, 1, 1, 1) for values in (alphas, sigmas))

    def loss(prediction: str, network: Any) -> Tensor:
        options = DDPMOptions(prediction=prediction)
        stub: Any = SimpleNamespace(forward=network, alphas=alphas, sigmas=sigmas, options=options)
        return DDPM.loss(stub, x, y, t, epsilon)

    implied = loss("v", lambda noisy, t, y: (alpha * noisy - noisy.tanh()) / sigma)
    assert torch.allclose(loss("x0", lambda noisy, t, y: noisy.tanh()), implied, rtol=1e-4)


def test_noise_levels_of_the_paper() -> None:
    levels = edm.noise_levels(18)
    assert levels[0] == pytest.approx(80)
    assert levels[-1] == pytest.approx(0.002)
    assert levels == sorted(levels, reverse=True)
    assert torch.allclose(edm.sigma_at(edm.time_of(torch.tensor(levels))), torch.tensor(levels), rtol=1e-4)


def test_coupling_is_optimal_within_each_class() -> None:
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 60, 1, 1, 1, generator=generator)
    y = torch.arange(60) % 2
    dealt = coupled(noise, x, y)
    for c in (0, 1):
        mine = y == c
        # In one dimension the best pairing is by rank.
        assert torch.equal(dealt[mine].flatten().sort().values, noise[mine].flatten().sort().values)
        assert torch.equal(dealt[mine].flatten().argsort(), x[mine].flatten().argsort())
