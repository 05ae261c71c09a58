"""Anchored replay on real digits: moments come back, nothing leaks, going on after a stop is exact."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json

import numpy as np
import pytest
import torch

from cl_bench import anchors, extractor
from cl_bench.anchor_features import AnchorFeatures
from cl_bench.classifier import Classifier
from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.seeds import isolated
from cl_bench.state import under
from cl_bench.strategies import anchored_replay
from cl_bench.strategies.anchored_replay import AnchoredReplay, AnchoredReplayOptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def make(digits: TaskStream, diffusion: bool = False, **options: object) -> AnchoredReplay:
    def generator() -> Gaussian | MLPDiffusion:
        if diffusion:
            return MLPDiffusion(digits.spec, MLPDiffusionOptions(steps=60, width=64), CPU, QUIET)
        return Gaussian(digits.spec, GaussianOptions(), CPU, QUIET)

    with isolated(0, "init"):
        setting = Setting(digits.spec, CPU, QUIET, generator)
        return AnchoredReplay(setting, AnchoredReplayOptions(classifier_steps=1, **options))  # type: ignore[arg-type]


def observe(strategy: AnchoredReplay, digits: TaskStream, tasks: int, first: int = 0) -> AnchoredReplay:
    for task in digits.tasks[first:tasks]:
        with isolated(0, "observe", task.index):
            strategy.observe(task)
    return strategy


def distance(strategy: AnchoredReplay, c: int, x: torch.Tensor) -> float:
    assert strategy.extractor is not None
    return strategy.anchors[c].distance(strategy.extractor.features(x))


def test_anchors_are_those_of_real_data_and_stay(digits: TaskStream) -> None:
    strategy = observe(make(digits), digits, 1)
    assert strategy.extractor is not None
    before = {c: anchor.state_dict() for c, anchor in strategy.anchors.items()}
    axes = strategy.extractor.axes.clone()
    for c in digits.tasks[0].classes:
        real = digits.tasks[0].train.of((c,))
        assert distance(strategy, c, real.x) < 1e-4
        mean = strategy.extractor.features(real.x).mean(0)
        assert torch.allclose(strategy.anchors[c].mean, mean, atol=1e-5)
    observe(strategy, digits, 3, first=1)
    assert sorted(strategy.anchors) == [0, 1, 2, 3, 4, 5]
    assert torch.equal(strategy.extractor.axes, axes)
    for c, state in before.items():
        assert all(
            torch.equal(state[name], value) for name, value in strategy.anchors[c].state_dict().items()
        )


def test_replay_has_the_moments_of_real_data_task_after_task(digits: TaskStream) -> None:
    """Against plain drawing: after three tasks the distance to real data is a fraction, for every class."""
    held = observe(make(digits), digits, 3)
    loose = observe(make(digits, candidates=1, transport="off"), digits, 3)
    assert held.replay is not None
    assert loose.replay is not None
    for c in digits.tasks[0].classes:
        mine, theirs = (distance(held, c, s.replay.of((c,)).x) for s in (held, loose))
        assert mine < 0.2 * theirs
    assert held.replay.counts() == loose.replay.counts()
    assert held.replay.of((0,)).depth.unique().tolist() == [3], "depth is not what is anchored"


def test_each_part_alone_helps(digits: TaskStream) -> None:
    found = {}
    for name, options in {
        "neither": {"candidates": 1, "transport": "off"},
        "choice": {"transport": "off"},
        "transport": {"candidates": 1},
    }.items():
        strategy = observe(make(digits, **options), digits, 2)
        assert strategy.replay is not None
        found[name] = np.mean([distance(strategy, c, strategy.replay.of((c,)).x) for c in (0, 1)])
    assert found["choice"] < 0.8 * found["neither"]
    assert found["transport"] < 0.5 * found["neither"]


def test_the_classifiers_test_features_come_closer_too(digits: TaskStream) -> None:
    """In features that anchors know nothing of: a classifier trained on all real data, as evaluators have."""
    from cl_bench.extractors.classifier import ClassifierFeatures
    from cl_bench.metrics.gaussian import frechet_distance
    from cl_bench.real_sets import RealSets

    reference = ClassifierFeatures(digits.spec, CPU)
    reference.fit(RealSets(digits), QUIET)
    real = digits.tasks[0].train
    found = []
    for options in ({}, {"candidates": 1, "transport": "off"}):
        replay = observe(make(digits, **options), digits, 3).replay
        assert replay is not None
        pairs = [
            (reference.features(real.of((c,)).x), reference.features(replay.of((c,)).x))
            for c in digits.tasks[0].classes
        ]
        found.append(sum(frechet_distance(a.numpy(), b.numpy()) for a, b in pairs))
    assert found[0] < 0.7 * found[1]


@pytest.mark.parametrize("kind", ["pca", "random", "classifier"])
def test_goes_on_exactly_after_a_stop(digits: TaskStream, kind: str) -> None:
    whole = observe(make(digits, extractor=kind), digits, 1)
    copy = make(digits, extractor=kind)
    copy.load_state_dict({name: value.clone() for name, value in whole.state_dict().items()})
    copy.replay = whole.replay
    for strategy in (whole, copy):
        observe(strategy, digits, 2, first=1)
    assert whole.replay is not None
    assert copy.replay is not None
    assert torch.equal(whole.replay.x, copy.replay.x)
    ours, theirs = whole.state_dict(), copy.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_few_samples_come_from_a_large_set_and_in_the_order_asked(digits: TaskStream, monkeypatch) -> None:
    strategy = observe(make(digits, rank=4), digits, 1)
    asked = []
    sample = Gaussian.sample
    monkeypatch.setattr(
        Gaussian, "sample", lambda self, y, guide=None: (asked.append(y), sample(self, y, guide))[1]
    )
    labels = torch.tensor([1, 0, 1])
    with isolated(0, "sample"):
        x = strategy.sample(labels)
    assert asked[0].unique(return_counts=True)[1].tolist() == [4 * 4 * 4] * 2
    assert x.shape == (3, 1, 8, 8)
    # A one is brighter in the middle columns than a zero, whose middle is empty.
    middle = x[:, 0, 3:5, 3:5].float().mean((1, 2))
    assert middle[1] < middle[0]
    assert middle[1] < middle[2]
    assert strategy.sample(labels[:0]).shape == (0, 1, 8, 8)


def test_guidance_raises_the_anchors_density(digits: TaskStream) -> None:
    strategy = observe(make(digits, diffusion=True, transport="off", candidates=1), digits, 1)
    y = torch.tensor([0, 1]).repeat(100)

    def density(guidance: float) -> float:
        strategy.options = dataclasses.replace(strategy.options, guidance=guidance)
        with isolated(0, "sample"):
            x = strategy.sample(y)
        return strategy._log_prob(scaled(x), y).mean().item()

    assert density(0.05) > density(0.0)


def test_what_has_no_effect_is_refused(digits: TaskStream) -> None:
    with pytest.raises(UserError, match=r"guidance=1 has no effect: generator .* cannot be guided"):
        make(digits, guidance=1.0)
    with pytest.raises(ValueError, match="transport=on moves data along linear features"):
        AnchoredReplayOptions(transport="on", extractor="random")
    assert not make(digits, extractor="random").moving
    assert make(digits).moving
    with pytest.raises(UserError, match="choose a --generator"):
        AnchoredReplay(Setting(digits.spec, CPU, QUIET, None), AnchoredReplayOptions())


def test_the_extractor_knows_the_first_task_only(digits: TaskStream) -> None:
    """Whatever comes later, features are the same; and they are not the evaluators'."""
    states = []
    for order in ((0, 1), (0, 4)):
        strategy = make(digits, extractor="classifier")
        for index in order:
            with isolated(0, "observe", index):
                strategy.observe(digits.tasks[index])
        states.append(under("extractor", strategy.state_dict()))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_no_code_of_the_strategy_reaches_for_the_reference() -> None:
    for module in (anchored_replay, anchors, extractor):
        tree = ast.parse(inspect.getsource(module))
        names = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert not [name for name in names if "reference" in name or "evaluator" in name]
    assert "reference" not in {field.name for field in dataclasses.fields(Setting)}


def test_a_run_says_what_anchoring_did(fast_run) -> None:
    run = fast_run("anchored-replay", options={"tasks": 2})
    found = json.loads((run.directory.task(1) / "anchors.json").read_text())
    assert sorted(found) == sorted(map(str, range(10)))
    for entry in found.values():
        assert entry["candidates"] == 4 * entry["kept"]
        assert 0 < entry["effective_share"] <= 1
        assert entry["distance_after"] < entry["distance_transported"] < entry["distance_before"]
    plain = fast_run("bootstrap", options={"tasks": 2})
    assert run.costs[1]["stored_bytes"] > plain.costs[1]["stored_bytes"], "anchors are counted"
    assert run.costs[1]["sampled"] >= 4 * run.costs[1]["replay_samples"]


def test_vectors_have_features_too() -> None:
    spec = StreamSpec("vector", (5,), ("a", "b"), 1)
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    for kind in ("pca", "random", "classifier"):
        made = AnchorFeatures(kind, 3, spec, Classifier(spec, CPU), CPU)  # type: ignore[arg-type]
        made.fit(Samples.real(x, torch.zeros(40).long()))
        features = made.features(x)
        assert features.shape == (40, 3)
        assert torch.allclose(features.mean(0), torch.zeros(3), atol=1e-5)
        if kind == "pca":
            change = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)).double()
            moved = made.features(made.moved(x, change))
            assert torch.allclose(moved, features + change.float(), atol=1e-4)
