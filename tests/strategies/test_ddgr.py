"""DDGR's mechanism: guided by the old classifier, both networks trained on new real and replay."""

from __future__ import annotations

import pytest
import torch

from cl_bench import state as states
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import scaled
from cl_bench.seeds import isolated
from cl_bench.strategies.ddgr import DDGR, DDGROptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

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


def recorded(strategy: DDGR, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the classifier is trained on and with, task by task; nothing is trained."""
    calls: list[dict] = []
    monkeypatch.setattr(
        strategy.classifier, "fit", lambda data, _, **more: calls.append({"data": data} | more)
    )
    monkeypatch.setattr(strategy.generator, "fit", lambda data: None)
    return calls


def observe(strategy: DDGR, digits: TaskStream, tasks: int) -> None:
    for task in digits.tasks[:tasks]:
        with isolated(0, "observe", task.index):
            strategy.observe(task)


@pytest.mark.parametrize("balance", ["balanced", "as-is"])
def test_balance_is_how_much_of_an_old_class_is_learned(
    digits: TaskStream, balance: str, monkeypatch
) -> None:
    strategy = make(digits, per_class=20, balance=balance)
    calls = recorded(strategy, monkeypatch)
    observe(strategy, digits, 2)
    counts = calls[1]["data"].counts()
    once = digits.tasks[0].train.counts()
    assert {c: counts[c] for c in (0, 1)} == (once if balance == "balanced" else {0: 20, 1: 20})
    assert {c: counts[c] for c in (2, 3)} == digits.tasks[1].train.counts()
    assert len(calls[1]["data"].of((0,)).x.unique(dim=0)) == 20


@pytest.mark.parametrize("weighting", ["union", "task"])
def test_weighting_of_new_and_old(digits: TaskStream, weighting: str, monkeypatch) -> None:
    """At task 3 with 20 samples of each of four old classes; every sample is drawn alike."""
    strategy = make(digits, per_class=20, balance="as-is", weighting=weighting)
    calls = recorded(strategy, monkeypatch)
    observe(strategy, digits, 3)
    data = calls[2]["data"]
    new = len(digits.tasks[2].train)
    share = 1 / 3 if weighting == "task" else new / (new + 80)
    assert (data.depth == 0).float().mean().item() == pytest.approx(share, abs=1e-3)
    # The first task has nothing old to weigh against.
    assert len(calls[0]["data"]) == len(digits.tasks[0].train)


def test_hard_labels_are_the_old_classifiers(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits, labels="hard", per_class=10)
    recorded(strategy, monkeypatch)
    observe(strategy, digits, 2)
    assert strategy.replay is not None
    # Untrained, it calls them something else than what was asked for, but nothing unseen.
    guessed = strategy.predict(strategy.replay.x)[:, :4].argmax(1)
    assert torch.equal(strategy.replay.y, guessed)
    assert strategy.replay.counts() != {0: 10, 1: 10, 2: 10, 3: 10}
    # A sample is as deep as the class it is called.
    assert strategy.replay.depth.tolist() == [strategy.depth(int(c)) for c in guessed]


def test_soft_labels_are_the_old_classifiers_probabilities(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits, labels="soft", per_class=10, balance="balanced")
    calls = recorded(strategy, monkeypatch)
    observe(strategy, digits, 2)
    assert calls[0]["targets"] is None
    data, targets = calls[1]["data"], calls[1]["targets"]
    old = data.depth > 0
    expected = strategy.predict(data.x[old])[:, :2].softmax(1)
    assert torch.allclose(targets[old][:, :2], expected, atol=1e-6)
    assert (targets[old][:, 2:] == 0).all()
    assert torch.equal(targets[~old].argmax(1), data.y[~old])
    assert torch.allclose(targets.sum(1), torch.ones(len(data)))


def test_once_keeps_each_class_as_first_drawn_at_depth_one(digits: TaskStream, monkeypatch) -> None:
    kept = {}
    for resample in ("once", "every_task"):
        strategy = make(digits, resample=resample, per_class=15)
        recorded(strategy, monkeypatch)
        after = []
        for tasks in (1, 2, 3):
            with isolated(0, "observe", tasks):
                strategy.observe(digits.tasks[tasks - 1])
            assert strategy.replay is not None
            after.append(strategy.replay)
        assert after[2].counts() == dict.fromkeys(range(6), 15)
        kept[resample] = torch.equal(after[0].x, after[2].of((0, 1)).x)
        depths = [after[2].of((c,)).depth.unique().tolist() for c in (0, 2, 4)]
        assert depths == ([[1], [1], [1]] if resample == "once" else [[3], [2], [1]])
    assert kept == {"once": True, "every_task": False}


@pytest.mark.parametrize(
    "options",
    [{"resample": "once", "labels": "hard", "per_class": 9}, {"labels": "soft", "weighting": "task"}],
)
def test_restored_it_goes_on_exactly(digits: TaskStream, options: dict[str, object]) -> None:
    def make_short() -> DDGR:
        strategy = make(digits, **options)
        object.__setattr__(strategy.options, "classifier_steps", 15)
        object.__setattr__(strategy.generator.options, "steps", 15)
        return strategy

    whole, copy = make_short(), make_short()
    observe(whole, digits, 2)
    copy.load_state_dict(whole.state_dict())
    copy.replay = whole.replay
    for strategy in (whole, copy):
        with isolated(0, "observe", 2):
            strategy.observe(digits.tasks[2])
    assert states.equal(whole.state_dict(), copy.state_dict())
    assert whole.replay is not None
    assert copy.replay is not None
    assert states.equal(whole.replay.state_dict(), copy.replay.state_dict())


def test_options_without_effect_are_refused() -> None:
    with pytest.raises(ValueError, match="give per_class"):
        DDGROptions(balance="as-is")
    with pytest.raises(ValueError, match="without guidance"):
        DDGROptions(guide_on="xt", guidance=0)


@pytest.mark.parametrize("target", ["x0", "xt"])
def test_guidance_moves_the_estimate_by_its_gradient(target) -> None:
    """x̂ ← x̂ + s σ²/α ∇_{x_t} log p for a denoiser x̂ = a x_t and log p(x) = −½ ‖x − m‖²."""
    spec = StreamSpec("image", (1, 8, 8), ("a", "b"), 1)
    generator = DDPM(spec, DDPMOptions(), CPU, QUIET)
    a, mean, alpha, sigma, scale = 0.3, 0.1, 0.8, 0.6, 0.5
    generator.clean = lambda x, t, y: a * x  # type: ignore[method-assign]
    guide = Guide(lambda x, y: -(x - mean).square().flatten(1).sum(1) / 2, scale, target)
    with isolated(0):
        x = torch.randn(3, 1, 8, 8)
    gradient = a * (mean - a * x) if target == "x0" else mean - x
    expected = (a * x + scale * sigma**2 / alpha * gradient).clamp(-1, 1)
    moved = generator.estimate(x, alpha, sigma, 0.5, torch.zeros(3).long(), guide)
    assert torch.allclose(moved, expected, atol=1e-6)


def test_the_guide_reads_what_it_is_told_to(digits: TaskStream) -> None:
    generator = MLPDiffusion(digits.spec, MLPDiffusionOptions(width=32), CPU, QUIET)
    norms: dict[str, float] = {}
    for target in ("x0", "xt"):
        seen: list[torch.Tensor] = []

        def log_prob(x: torch.Tensor, y: torch.Tensor, seen: list[torch.Tensor] = seen) -> torch.Tensor:
            seen.append(x.detach())
            return x.flatten(1).sum(1)

        with isolated(0):
            generator.sample(torch.zeros(4).long(), Guide(log_prob, 1.0, target, steps=7))  # type: ignore[arg-type]
        assert len(seen) == 7, "one look at each of the guide's own steps"
        assert seen[0].shape == (4, 1, 8, 8)
        norms[target] = seen[0].square().mean().item()
    assert norms["xt"] == pytest.approx(1, abs=0.3), "pure noise comes first"
    assert norms["x0"] < norms["xt"]


def test_a_weight_of_new_data_is_refused_where_none_are_new(fast_run) -> None:
    with pytest.raises(UserError, match="weighting=task has no effect where no task brings new classes"):
        fast_run("ddgr", benchmark="digits", generator="mlp-diffusion", options={"weighting": "task"})
