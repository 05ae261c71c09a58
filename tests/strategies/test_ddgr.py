"""DDGR's mechanism: guided by the old classifier, both networks trained on new real and replay."""

from __future__ import annotations

import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import scaled
from cl_bench.seeds import isolated
from cl_bench.strategies.ddgr import DDGR, DDGROptions
from cl_bench.strategy import Setting
from cl_bench.stream import TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def make(digits: TaskStream, **options: object) -> DDGR:
    def generator() -> MLPDiffusion:
        return MLPDiffusion(digits.spec, MLPDiffusionOptions(steps=150, width=128), CPU, QUIET)

    with isolated(0, "init"):
        return DDGR(Setting(digits.spec, CPU, QUIET, generator), DDGROptions(classifier_steps=100, **options))  # type: ignore[arg-type]


def test_both_networks_train_on_new_real_and_guided_replay(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits)
    fitted: dict[str, list] = {"classifier": [], "generator": []}
    for name in fitted:
        network = getattr(strategy, name)
        fit = network.fit

        def record(data, *args, _name=name, _fit=fit, **kwargs):
            fitted[_name].append(data)
            return _fit(data, *args, **kwargs)

        monkeypatch.setattr(network, "fit", record)
    with isolated(0, "observe"):
        for task in digits.tasks[:2]:
            strategy.observe(task)
    for calls in fitted.values():
        second = calls[1]
        assert second.classes == (0, 1, 2, 3)
        assert second.of((0, 1)).depth.unique().tolist() == [1]
        assert second.of((2, 3)).depth.unique().tolist() == [0]
        # The replay of a class is as large as its real set, so the union is balanced.
        assert second.of((0, 1)).counts() == digits.tasks[0].train.counts()
    assert fitted["classifier"][1] is fitted["generator"][1]
    assert strategy.replay is not None
    assert strategy.replay.of((0,)).depth.unique().tolist() == [2]


def test_the_guide_is_the_classifier_over_old_classes_and_raises_its_score(digits: TaskStream) -> None:
    strategy = make(digits)
    with isolated(0, "observe"):
        strategy.observe(digits.tasks[0])
    y = torch.tensor([0, 1]).repeat(60)

    def score(guidance: float) -> float:
        object.__setattr__(strategy.options, "guidance", guidance)
        with isolated(0, "sample"):
            x = strategy.sample(y)
        return strategy._log_prob(scaled(x), y).mean().item()

    assert score(5.0) > score(0.0)
    # Among the seen classes the probabilities sum to one; unseen ones have no say.
    x = scaled(digits.tasks[0].train.x[:4])
    total = sum(strategy._log_prob(x, torch.full((4,), c)).exp() for c in (0, 1))
    assert torch.allclose(total, torch.ones(4), atol=1e-5)


def test_per_class_sets_the_size_of_the_replay(digits: TaskStream) -> None:
    strategy = make(digits, per_class=20)
    with isolated(0, "observe"):
        strategy.observe(digits.tasks[0])
    assert strategy.replay is not None
    assert strategy.replay.counts() == {0: 20, 1: 20}


def test_a_generator_that_cannot_be_guided_is_refused(digits: TaskStream) -> None:
    setting = Setting(digits.spec, CPU, QUIET, lambda: Gaussian(digits.spec, GaussianOptions(), CPU, QUIET))
    with pytest.raises(UserError, match="cannot be guided"):
        DDGR(setting, DDGROptions())
    with pytest.raises(UserError, match="other than none"):
        DDGR(Setting(digits.spec, CPU, QUIET, None), DDGROptions())
