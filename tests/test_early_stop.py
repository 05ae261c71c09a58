"""Early stopping: the best weights on held-out data, and an end when nothing better comes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_bench.classifier import Classifier
from cl_bench.early_stop import PATIENCE, EarlyStop
from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream


def test_the_best_weights_are_kept_and_patience_ends_it() -> None:
    net, scores = nn.Linear(1, 1), iter([0.1, 0.5, 0.4, 0.5, 0.2, 0.2, 0.2, 0.9])
    early, ended = EarlyStop(net, 100, lambda: next(scores)), 0
    for step in range(1, 101):
        nn.init.constant_(net.weight, step)
        if early.over(step):
            ended = step
            break
    assert ended == 5 * (2 + PATIENCE), "five looks after the second, none of them better"
    early.restore()
    assert net.weight.item() == 10


@pytest.mark.parametrize(("steps", "looks"), [(100, 20), (39, 20), (59, 20), (7, 7), (1, 1)])
def test_it_looks_twenty_times_at_most_and_at_the_end(steps: int, looks: int) -> None:
    seen: list[int] = []
    early = EarlyStop(nn.Linear(1, 1), steps, lambda: float(len(seen)))
    for step in range(1, steps + 1):
        before = early.best
        assert not early.over(step)
        if early.best != before:
            seen.append(step)
    assert seen[-1] == steps
    assert len(seen) == looks


def test_without_a_look_nothing_changes() -> None:
    net = nn.Linear(1, 1)
    before = net.weight.clone()
    EarlyStop(net, 100, lambda: 1.0).restore()
    assert torch.equal(net.weight, before)


def test_a_classifier_that_unlearns_is_stopped(digits: TaskStream) -> None:
    """Wrong labels unlearn what was right on held-out data, so that an early look is the best."""
    task, cpu = digits.tasks[0], torch.device("cpu")
    wrong = Samples.real(task.train.x, 1 - task.train.y)
    with isolated(0):
        classifier = Classifier(digits.spec, cpu)
        classifier.fit(task.train, Progress(quiet=True), steps=100)
        classifier.fit(wrong, Progress(quiet=True), steps=400, learning_rate=4e-4, held_out=task.valid)
        kept = (classifier.predict(task.valid.x)[:, :2].argmax(1) == task.valid.y).float().mean()
        classifier.fit(wrong, Progress(quiet=True), steps=400, learning_rate=4e-4)
        unlearned = (classifier.predict(task.valid.x)[:, :2].argmax(1) == task.valid.y).float().mean()
    assert kept > 0.7
    assert unlearned < 0.3


@pytest.mark.parametrize("strategy", ["bootstrap", "ddgr", "dgr", "merge-gan"])
def test_strategies_hold_out_data_of_the_present_task_only(fast_run, monkeypatch, strategy: str) -> None:
    seen: list[tuple[int, ...]] = []
    fit = Classifier.fit

    def watched(self, data, progress, *arguments, held_out=None, **more):
        seen.append(() if held_out is None else held_out.classes)
        fit(self, data, progress, *arguments, held_out=held_out, **more)

    monkeypatch.setattr(Classifier, "fit", watched)
    options: dict[str, object] = {"early_stop": True, "tasks": 2}
    generator = "gaussian"
    if strategy == "ddgr":
        generator, options["generator.steps"] = "mlp-diffusion", 5
    if strategy == "merge-gan":
        generator, options["generator.steps"] = "vae", 2
    fast_run(strategy, generator=generator, evaluators=("accuracy",), options=options)
    assert seen == [(0, 1, 2, 3, 4), (5, 6, 7, 8, 9)]


def test_without_held_out_data_it_is_refused(fast_run) -> None:
    options = {"early_stop": True, "valid_fraction": 0}
    with pytest.raises(UserError, match="nothing to look at; hold out data with valid_fraction"):
        fast_run("bootstrap", generator="gaussian", evaluators=("accuracy",), options=options)
