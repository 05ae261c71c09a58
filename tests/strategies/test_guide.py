"""GUIDE: what the guide is, when rehearsal is drawn, by whom, and what is learned from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl_bench.classifier import Classifier
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategies.guide import GUIDE, GuideOptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def make(digits: TaskStream, **options: object) -> GUIDE:
    def generator() -> Generator:
        return MLPDiffusion(
            digits.spec, MLPDiffusionOptions(steps=30, width=32, sampling_steps=5), CPU, QUIET
        )

    with isolated(0, "init"):
        settings: Any = {"classifier_steps": 12, "classifier_batch": 30, "refresh": 5} | options
        return GUIDE(Setting(digits.spec, CPU, QUIET, generator), GuideOptions(**settings))


def observe(strategy: GUIDE, digits: TaskStream, tasks: int) -> None:
    for task in digits.tasks[:tasks]:
        with isolated(0, "observe", task.index):
            strategy.observe(task)


def test_the_gradient_points_to_the_likeliest_new_class(digits: TaskStream) -> None:
    """For logits W x, ∇ log softmax(W x)[c*] = W[c*] − Σ_c p_c W[c], over classes seen, c* among the new."""
    strategy = make(digits)
    linear = nn.Linear(64, 10, bias=False)
    strategy.classifier.net = nn.Sequential(nn.Flatten(), linear)
    strategy.real_counts = {0: 5, 1: 5}
    with isolated(0):
        x = torch.randn(20, 1, 8, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(strategy._towards(x, (2, 3)).sum(), x)
    with torch.no_grad():
        logits = linear(x.flatten(1))[:, :4]
        p = logits.softmax(1)
        best = 2 + logits[:, 2:].argmax(1)
        weights = linear.weight[:4]
        expected = weights[best] - p @ weights
    assert set(best.tolist()) == {2, 3}
    assert torch.allclose(gradient.flatten(1), expected, atol=1e-6)


def test_rehearsal_is_fresh_now_and_then_and_guided_by_the_classifier_in_training(
    digits: TaskStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategy = make(digits, guided_steps=3)
    observe(strategy, digits, 2)
    events: list[Any] = []
    sample, fit = strategy.generator.sample, strategy.generator.fit

    def recorded_sample(labels: Tensor, guide: Guide | None = None) -> Tensor:
        events.append((len(labels), set(labels.tolist()), guide, strategy.classifier.net.training))
        return sample(labels, guide)

    monkeypatch.setattr(strategy.generator, "sample", recorded_sample)
    monkeypatch.setattr(strategy.generator, "fit", lambda data: (events.append(data), fit(data)))
    with isolated(0, "observe", 2):
        strategy.observe(digits.tasks[2])
    # Twelve steps, one batch for five of them: three batches, all before the generator moves on.
    guided, (data, plain) = events[:3], events[3:]
    for n, labels, guide, training in guided:
        assert n == round(30 * 2 / 3)
        assert labels <= {0, 1, 2, 3}
        assert guide is not None
        assert (guide.scale, guide.target, guide.steps) == (0.5, "x0", 3)
        assert not training
    # The generator learns new real data and the plain replay, and so it is with the next replay.
    assert data.counts() == {c: n for t in digits.tasks[:3] for c, n in t.train.counts().items()}
    assert plain[2] is None
    assert strategy.replay is not None
    assert len(strategy.replay) == plain[0]


def test_guided_samples_are_nearer_to_new_classes(digits: TaskStream) -> None:
    strategy = make(digits, classifier_steps=80, classifier_batch=64, refresh=40)
    object.__setattr__(strategy.generator.options, "steps", 150)
    object.__setattr__(strategy.generator.options, "sampling_steps", 15)
    observe(strategy, digits, 1)
    with isolated(0, "classifier"):
        strategy.classifier.fit(digits.tasks[1].train, QUIET, steps=30)
    scores = []
    for scale in (0.0, 3.0):
        object.__setattr__(strategy.options, "guidance", scale)
        rehearsal = strategy._rehearsal(60, (2, 3))
        assert rehearsal is not None
        with isolated(0, "rehearsal"):
            x = rehearsal(0).x
        scores.append(strategy._towards(x.float() / 127.5 - 1, (2, 3)).mean().item())
    assert scores[1] > scores[0]


class Noting(nn.Module):
    """Notes how many images it is given, and whether it is in training."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.seen: list[tuple[int, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((len(x), self.training))
        return self.net(x)


def test_training_goes_on_in_training_mode_after_rehearsal(digits: TaskStream) -> None:
    strategy = make(digits, refresh=1)
    observe(strategy, digits, 1)
    strategy.classifier.net = nn.Sequential(noting := Noting(strategy.classifier.net))
    with isolated(0, "observe", 1):
        strategy.observe(digits.tasks[1])
    training = [n for n, mode in noting.seen if mode]
    assert training == [30] * 12, "every step is of 30 samples, with dropout and the like"
    guiding = [n for n, mode in noting.seen if not mode]
    assert guiding == [15] * 12 * 5, "twelve batches, a look at each of five steps"


def test_rehearsal_takes_the_place_of_part_of_the_batch(digits: TaskStream, monkeypatch) -> None:
    """The loss of a step is the mean over new and rehearsed samples alike."""
    with isolated(0, "init"):
        classifier = Classifier(digits.spec, CPU, width=8)
    new, old = digits.tasks[1].train[:1], digits.tasks[0].train[:3]
    with torch.no_grad():
        losses = [
            -classifier.net(s.x.float() / 127.5 - 1).log_softmax(1).gather(1, s.y[:, None])
            for s in (new, old)
        ]
    # Batches of five: the one new sample twice, and the three old ones.
    expected = (2 * losses[0].sum() + losses[1].sum()) / 5
    found: list[float] = []
    monkeypatch.setattr(LossGuard, "check", lambda _, loss: found.append(loss.item()))
    classifier.fit(new, QUIET, steps=1, batch=5, rehearsal=lambda _: old)
    assert found == [pytest.approx(expected.item(), rel=1e-5)]


def test_it_goes_on_exactly(digits: TaskStream) -> None:
    whole, copy = make(digits), make(digits)
    observe(whole, digits, 2)
    copy.load_state_dict(whole.state_dict())
    copy.replay = whole.replay
    for strategy in (whole, copy):
        with isolated(0, "observe", 2):
            strategy.observe(digits.tasks[2])
    a, b = whole.state_dict(), copy.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert isinstance(whole.replay, Samples)
    assert isinstance(copy.replay, Samples)
    assert torch.equal(whole.replay.x, copy.replay.x)


def test_what_cannot_work_is_refused(digits: TaskStream) -> None:
    setting = Setting(digits.spec, CPU, QUIET, lambda: Gaussian(digits.spec, GaussianOptions(), CPU, QUIET))
    with pytest.raises(UserError, match="cannot be guided"):
        GUIDE(setting, GuideOptions())
    with pytest.raises(ValueError, match="no effect without guidance"):
        GuideOptions(guidance=0, guided_steps=10)
    repeating = StreamSpec(
        digits.spec.modality, digits.spec.shape, digits.spec.class_names, 3, stationary=True
    )
    with pytest.raises(UserError, match="every task repeats"):
        GUIDE(
            Setting(
                repeating,
                CPU,
                QUIET,
                lambda: MLPDiffusion(repeating, MLPDiffusionOptions(width=16), CPU, QUIET),
            ),
            GuideOptions(),
        )
