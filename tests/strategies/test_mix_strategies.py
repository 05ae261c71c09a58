"""What each policy trains on, counted through the real loop on real digits."""

from __future__ import annotations

import pytest
import torch

from cl_bench.classifier import Classifier
from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.progress import Progress
from cl_bench.registry import strategies
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategies.experience_replay import ExperienceReplay, ExperienceReplayOptions
from cl_bench.strategy import Setting
from cl_bench.stream import TaskStream


def observe_all(digits: TaskStream, monkeypatch, name: str, **options: object) -> list[Samples]:
    """The training set of each task's generator."""
    seen: list[Samples] = []
    fit = Gaussian.fit
    monkeypatch.setattr(Gaussian, "fit", lambda self, data: (seen.append(data), fit(self, data)))
    cls = strategies.get(name)
    quiet, cpu = Progress(quiet=True), torch.device("cpu")
    setting = Setting(digits.spec, cpu, quiet, lambda: Gaussian(digits.spec, GaussianOptions(), cpu, quiet))
    strategy = cls(setting, cls.Options(classifier_steps=1, **options))
    for task in digits.tasks[:3]:
        strategy.observe(task)
    return seen


@pytest.mark.parametrize(
    ("name", "options", "real", "synthetic"),
    [
        ("naive", {}, 0, 0),
        ("joint", {}, 1, 0),
        ("bootstrap", {}, 0, 1),
        ("mixed", {"lambda_": 0.5}, 1, 0.5),
        ("mixed", {"real": 0.1, "lambda_": 0.9}, 0.1, 0.9),
        ("mixed", {"synthetic_fraction": 0.5}, 1, 1),
        ("accumulate", {}, 1, 2),
    ],
)
def test_old_classes_come_back_as_the_mix_says(
    digits: TaskStream, monkeypatch, name: str, options: dict[str, float], real: float, synthetic: float
) -> None:
    third = observe_all(digits, monkeypatch, name, **options)[2]
    n = digits.tasks[0].train.counts()
    for c in digits.tasks[0].classes:
        members = third.of((c,))
        assert int((members.depth == 0).sum()) == round(real * n[c])
        assert int((members.depth > 0).sum()) == int(synthetic * n[c])
    for c, count in digits.tasks[2].train.counts().items():
        assert int((third.of((c,)).depth == 0).sum()) == count


def test_experience_replay_keeps_k_per_class(digits: TaskStream, monkeypatch) -> None:
    third = observe_all(digits, monkeypatch, "experience-replay", per_class=7)[2]
    assert all(len(third.of((c,))) == 7 for c in (0, 1, 2, 3))
    assert int(third.depth.max()) == 0


def test_depth_grows_only_without_real_data(digits: TaskStream, monkeypatch) -> None:
    bootstrap = observe_all(digits, monkeypatch, "bootstrap")[2]
    assert bootstrap.of((0,)).depth.unique().tolist() == [2]
    assert bootstrap.of((2,)).depth.unique().tolist() == [1]
    accumulate = observe_all(digits, monkeypatch, "accumulate")[2]
    # Every generation saw the class real too, so all its samples are of depth 1.
    assert accumulate.of((0,)).depth.unique().tolist() == [0, 1]


@pytest.mark.parametrize("name", ["bootstrap", "mixed", "accumulate"])
def test_replay_without_generator_is_refused(digits: TaskStream, name: str) -> None:
    cls = strategies.get(name)
    with pytest.raises(UserError, match="choose a --generator"):
        cls(Setting(digits.spec, torch.device("cpu"), Progress(quiet=True), None), cls.Options())


def test_mixed_takes_lambda_or_share_not_both() -> None:
    options = strategies.get("mixed").Options
    with pytest.raises(ValueError, match=r"is a synthetic_fraction of 0.166667, not 0.5; give one"):
        options(lambda_=0.2, synthetic_fraction=0.5)
    with pytest.raises(ValueError, match="needs real data"):
        options(real=0.0, synthetic_fraction=0.5)


def test_half_of_what_experience_replay_draws_is_memory(cpu, quiet, digits) -> None:
    setting = Setting(digits.spec, cpu, quiet, None)
    strategy = ExperienceReplay(setting, ExperienceReplayOptions(per_class=5))
    weights = strategy.sampling_weights(new=300, total=310)
    assert weights is not None
    assert weights[300:].sum() == pytest.approx(weights[:300].sum())
    assert strategy.sampling_weights(new=300, total=300) is None


def test_the_classifier_draws_by_weight(cpu, quiet, digits) -> None:
    """Samples of weight zero leave no trace: class 1 is never learned."""
    data = digits.tasks[0].train
    with isolated(0):
        classifier = Classifier(digits.spec, cpu)
        classifier.fit(data, quiet, steps=60, weights=(data.y == 0).float())
    guessed = classifier.predict(data.x)[:, :2].argmax(1)
    assert set(guessed.tolist()) == {0}
