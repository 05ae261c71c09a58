"""Replay drawn once: depth stays 1, what is kept is never drawn again, and storage is told."""

from __future__ import annotations

import torch

from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategies.once_replay import OnceReplay
from cl_bench.strategy import Setting
from cl_bench.stream import TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def observed(
    digits: TaskStream, monkeypatch, tasks: int = 3
) -> tuple[OnceReplay, list[Samples], list[Samples]]:
    """The strategy, the training set of each task's generator, and the replay set after each task."""
    trained: list[Samples] = []
    fit = Gaussian.fit
    monkeypatch.setattr(Gaussian, "fit", lambda self, data: (trained.append(data), fit(self, data)))
    setting = Setting(digits.spec, CPU, QUIET, lambda: Gaussian(digits.spec, GaussianOptions(), CPU, QUIET))
    strategy = OnceReplay(setting, TrainingOptions(classifier_steps=1))
    sets = []
    for task in digits.tasks[:tasks]:
        with isolated(0, "observe", task.index):
            strategy.observe(task)
        assert strategy.replay is not None
        sets.append(strategy.replay)
    return strategy, trained, sets


def test_each_class_is_drawn_once_and_kept(digits: TaskStream, monkeypatch) -> None:
    _, _, sets = observed(digits, monkeypatch)
    for t, replay in enumerate(sets):
        seen = [c for task in digits.tasks[: t + 1] for c in task.classes]
        assert replay.counts() == {
            c: n for task in digits.tasks[: t + 1] for c, n in task.train.counts().items()
        }
        assert sorted(seen) == list(replay.classes)
        assert replay.depth.unique().tolist() == [1], "for ever"
    for c in digits.tasks[0].classes:
        assert torch.equal(sets[0].of((c,)).x, sets[2].of((c,)).x)


def test_networks_train_on_new_real_data_and_what_is_kept(digits: TaskStream, monkeypatch) -> None:
    _, trained, sets = observed(digits, monkeypatch)
    third = trained[2]
    old = third.of(sets[1].classes)
    assert torch.equal(old.x.sort(0).values, sets[1].x.sort(0).values)
    assert third.of(digits.tasks[2].classes).depth.unique().tolist() == [0]


def test_a_sample_drawn_anew_is_deeper_than_the_kept_ones(digits: TaskStream, monkeypatch) -> None:
    strategy, _, _ = observed(digits, monkeypatch)
    assert [strategy.depth(c) for c in (0, 2, 4)] == [2, 2, 1]


def test_the_price_is_storage(fast_run) -> None:
    once, boot = fast_run("once-replay"), fast_run("bootstrap")
    for mine, theirs in zip(once.costs, boot.costs, strict=True):
        assert mine["replay_samples"] == theirs["replay_samples"]
    # Each class is drawn once, not at every task after it.
    assert sum(cost["sampled"] for cost in once.costs) == once.costs[-1]["replay_samples"]
    assert sum(cost["sampled"] for cost in boot.costs) > 2 * boot.costs[-1]["replay_samples"]
    rows = once.rows
    depths = rows[(rows.metric == "generation_depth") & rows.on_task.isna()].value
    assert depths.tolist() == [1.0] * 5


def test_repeated_classes_are_drawn_in_the_first_generation_only(fast_run) -> None:
    run = fast_run("once-replay", benchmark="digits", options={"generations": 3})
    first, last = run.replay(0), run.replay(2)
    assert first is not None
    assert last is not None
    assert torch.equal(first.x, last.x)
    assert [cost["sampled"] for cost in run.costs] == [len(first), None, None]
