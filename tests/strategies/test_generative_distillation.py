"""Generative distillation: its loss by hand, its teacher, the soft labels, and going on exactly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl_bench.classifier import Classifier
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError
from cl_bench.generator import Distillation
from cl_bench.generators import ddpm, edm
from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.generators.edm import EDM, EDMOptions
from cl_bench.generators.flow import Flow, FlowOptions
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.progress import Progress
from cl_bench.samples import scaled
from cl_bench.seeds import isolated
from cl_bench.strategies.generative_distillation import GenerativeDistillation, GenerativeDistillationOptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
SPEC = StreamSpec("image", (1, 4, 4), ("a", "b", "c", "d"), 2)
KINDS = [
    ("ddpm", {"prediction": "v"}),
    ("ddpm", {"prediction": "epsilon"}),
    ("ddpm", {"prediction": "x0"}),
    ("edm", {}),
    ("flow", {}),
]
CLASSES = {"ddpm": (DDPM, DDPMOptions), "edm": (EDM, EDMOptions), "flow": (Flow, FlowOptions)}


class Affine(nn.Module):
    """a x + b + c t + d[y]."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with isolated(seed):
            self.a, self.b, self.c = (nn.Parameter(torch.randn(())) for _ in range(3))
            self.d = nn.Embedding(len(SPEC.class_names) + 1, 1)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.a * x + self.b + (self.c * t + self.d(y).squeeze(1)).view(-1, 1, 1, 1)


def new(kind: str, **options: object) -> Any:
    """A generator whose student and teacher are affine, and not the same."""
    cls, make = CLASSES[kind]
    generator = cls(SPEC, make(**options), CPU, QUIET)  # type: ignore[arg-type]
    generator.net = generator.forward = Affine(1)  # type: ignore[assignment]
    generator.averaged = Affine(2).eval().requires_grad_(False)  # type: ignore[assignment]
    return generator


def caught(generator: Any, distillation: Distillation, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The draw and the loss that `fit_distilled` trains with."""
    parts: list[Any] = []
    monkeypatch.setattr(generator, "_train", lambda data, draw, loss: parts.extend((draw, loss)))
    generator.fit_distilled(None, distillation)
    return parts[0], parts[1]


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    with isolated(3):
        return torch.rand(n, 1, 4, 4) * 2 - 1, torch.tensor([2, 3]).repeat(n // 2)


def seen_by_network(kind: str, x: Tensor, time: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor]:
    """The network's inputs at the noise that was drawn, from the papers' definitions."""
    column = time.view(-1, 1, 1, 1)
    if kind == "ddpm":
        squared = ddpm._scheduler("ancestral").alphas_cumprod[time].view(-1, 1, 1, 1)
        return squared.sqrt() * x + (1 - squared).sqrt() * epsilon, time / 1000
    if kind == "edm":
        return (x + column * epsilon) / (column**2 + 0.25).sqrt(), edm.time_of(time)
    return column * x + (1 - column) * epsilon, time


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_the_loss_is_the_papers(kind: str, options: dict[str, object], monkeypatch) -> None:
    generator = new(kind, **options)
    student, teacher = generator.net, generator.averaged
    draw, loss = caught(generator, Distillation((0, 1), 1 / 3, 2 / 3 * 0.75, 2), monkeypatch)
    x, y = batch()
    with isolated(4):
        drawn = draw(x, y)
    time, epsilon, shown, old_x, old_time, old_epsilon, old_shown = drawn
    assert torch.equal(shown, y)
    assert set(old_shown.tolist()) <= {0, 1}
    assert old_x.shape == x.shape
    noisy, t = seen_by_network(kind, old_x, old_time, old_epsilon)
    distance = (student(noisy, t, old_shown) - teacher(noisy, t, old_shown)).square()
    if options.get("prediction") == "x0":
        # As far apart as their predictions of v would be.
        variance = 1 - ddpm._scheduler("ancestral").alphas_cumprod[old_time].view(-1, 1, 1, 1)
        distance = distance / variance.clamp(min=0.05**2)
    distance = distance.mean()
    expected = generator.loss(x, y, time, epsilon) / 3 + 0.75 * (2 / 3) * distance
    value = loss(x, y, *drawn)
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert distance.item() > 0.01
    # The teacher is a copy from before: it stays when the averaged weights move on, and learns nothing.
    with torch.no_grad():
        teacher.a += 1
    assert loss(x, y, *drawn).item() == value.item()
    value.backward()
    assert student.a.grad is not None
    assert teacher.a.grad is None


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_parts_of_a_batch_have_its_loss(kind: str, options: dict[str, object], monkeypatch) -> None:
    generator = new(kind, **options)
    draw, loss = caught(generator, Distillation((0, 1), 0.5, 0.5, 2), monkeypatch)
    x, y = batch()
    with isolated(4):
        inputs = (x, y, *draw(x, y))
    whole = loss(*inputs).item()
    parts = [loss(*(values[rows] for values in inputs)).item() for rows in (slice(0, 3), slice(3, 6))]
    assert sum(parts) / 2 == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_student_like_its_teacher_has_nothing_to_learn(kind: str, options, monkeypatch) -> None:
    generator = new(kind, **options)
    generator.net.load_state_dict(generator.averaged.state_dict())
    draw, loss = caught(generator, Distillation((0, 1), 0.0, 1.0, 2), monkeypatch)
    x, y = batch()
    with isolated(4):
        assert loss(x, y, *draw(x, y)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_few_steps_are_ddim(kind: str, options: dict[str, object], monkeypatch) -> None:
    """Two steps by hand, for a denoiser that gives x/2; many steps reach a Gaussian's mean and deviation."""
    generator = new(kind, **options)
    monkeypatch.setattr(generator, "clean", lambda x, t, y: x / 2)
    y = torch.zeros(50).long()
    with isolated(5):
        x = generator.few_steps(y, 2)
    (alpha, sigma, _), (then_alpha, then_sigma, _) = generator.level(0.75), generator.level(0.25)
    with isolated(5):
        start = sigma * torch.randn(50, 1, 4, 4)
    clean = (start / 2).clamp(-1, 1)
    middle = then_alpha * clean + then_sigma * (start - alpha * clean) / sigma
    assert torch.allclose(x, (middle / 2).clamp(-1, 1), atol=1e-5)
    assert alpha**2 + sigma**2 == pytest.approx(1) or kind != "ddpm"

    mean, std = 0.2, 0.1
    level_of = {round(t, 6): (a, s) for a, s, t in (generator.level((k + 0.5) / 60) for k in range(60))}

    def exact(x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        a, s = level_of[min(level_of, key=lambda known: abs(known - float(t[0])))]
        return mean + a * std**2 / (a**2 * std**2 + s**2) * (x - a * mean)

    monkeypatch.setattr(generator, "clean", exact)
    with isolated(5):
        x = generator.few_steps(y, 60)
    assert x.mean().item() == pytest.approx(mean, abs=0.02)
    assert x.std().item() == pytest.approx(std, rel=0.2)


def make(digits: TaskStream, **options: object) -> GenerativeDistillation:
    def generator() -> DDPM:
        return DDPM(
            digits.spec, DDPMOptions(steps=4, batch=8, sampling_steps=3, sampling_batch=64), CPU, QUIET
        )

    with isolated(0, "init"):
        settings: Any = {"classifier_steps": 10} | options
        return GenerativeDistillation(
            Setting(digits.spec, CPU, QUIET, generator), GenerativeDistillationOptions(**settings)
        )


def test_the_classifier_learns_soft_labels_at_the_papers_weights(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits, lambda_=0.6, teacher_steps=3)
    calls: list[dict[str, Any]] = []
    distilled: list[Any] = []
    monkeypatch.setattr(
        strategy.classifier, "fit", lambda data, _, **more: calls.append({"data": data} | more)
    )
    monkeypatch.setattr(strategy.generator, "fit", lambda data: distilled.append((data, None)))
    monkeypatch.setattr(strategy.generator, "fit_distilled", lambda data, how: distilled.append((data, how)))
    for task in digits.tasks[:3]:
        strategy.observe(task)
    data, weights, targets = (calls[2][name] for name in ("data", "weights", "targets"))
    new = data.depth == 0
    assert weights.sum().item() == pytest.approx(1)
    assert weights[new].sum().item() == pytest.approx(1 / 3)
    assert torch.allclose(targets[~new][:, :4], strategy.predict(data.x[~new])[:, :4].softmax(1), atol=1e-5)
    assert torch.equal(targets[new].argmax(1), data.y[new])
    assert calls[0]["weights"] is calls[0]["targets"] is None
    assert distilled[0][1] is None
    assert distilled[2][1] == Distillation((0, 1, 2, 3), 1 / 3, pytest.approx(0.4), 3)
    assert [real.classes for real, _ in distilled] == [(0, 1), (2, 3), (4, 5)]
    assert strategy.replay is not None
    assert [strategy.replay.of((c,)).depth.unique().item() for c in (0, 2, 4)] == [3, 2, 1]


def test_targets_are_cross_entropy_with_probabilities(digits: TaskStream, monkeypatch) -> None:
    with isolated(0, "init"):
        classifier = Classifier(digits.spec, CPU, width=8)
    one = digits.tasks[0].train[:1]
    targets = torch.tensor([[0.1, 0.2, 0.7] + [0.0] * 7])
    with torch.no_grad():
        expected = -(targets * classifier.net(scaled(one.x)).log_softmax(1)).sum()
    found: list[float] = []
    monkeypatch.setattr(LossGuard, "check", lambda _, loss: found.append(loss.item()))
    classifier.fit(one, QUIET, steps=1, targets=targets)
    assert found == [pytest.approx(expected.item(), rel=1e-5)]


def test_it_goes_on_exactly_and_dropout_too(digits: TaskStream, monkeypatch) -> None:
    whole, copy = make(digits), make(digits)
    modes: list[bool] = []
    loss = whole.generator.loss  # type: ignore[attr-defined]

    def noted(*inputs: Any) -> Tensor:
        modes.append(whole.generator.net.training)  # type: ignore[attr-defined]
        return loss(*inputs)

    monkeypatch.setattr(whole.generator, "loss", noted)
    for task in digits.tasks[:2]:
        with isolated(0, "observe", task.index):
            whole.observe(task)
        if task.index == 0:
            copy.load_state_dict(whole.state_dict())
            copy.replay = whole.replay
    with isolated(0, "observe", 1):
        copy.observe(digits.tasks[1])
    a, b = whole.state_dict(), copy.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert modes == [True] * (4 + 2 * 4), "training mode in every step, after sampling too"


def test_a_generator_without_predictions_is_refused(digits: TaskStream) -> None:
    setting = Setting(digits.spec, CPU, QUIET, lambda: Gaussian(digits.spec, GaussianOptions(), CPU, QUIET))
    with pytest.raises(UserError, match="use --generator ddpm, edm or flow"):
        GenerativeDistillation(setting, GenerativeDistillationOptions())
