"""Self-consuming loops: a stream whose tasks repeat the same classes, and what strategies make of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cl_bench.benchmark import Stationary
from cl_bench.benchmarks.digits import SplitDigits, StationaryDigits
from cl_bench.errors import UserError
from cl_bench.finished_run import Run


def test_every_generation_has_all_classes_and_the_same_data() -> None:
    stream = StationaryDigits(Stationary(generations=3)).build()
    assert [task.index for task in stream.tasks] == [0, 1, 2]
    assert all(task.classes == tuple(range(10)) for task in stream.tasks)
    assert all(torch.equal(task.train.x, stream.tasks[0].train.x) for task in stream.tasks)
    assert [len(test) for test in stream.test] == [359]
    assert stream.seen(-1) == ()
    assert stream.seen(0) == stream.seen(2) == tuple(range(10))
    assert stream.fingerprint == SplitDigits(SplitDigits.Options()).build().fingerprint


def test_without_labels_all_classes_are_one(fast_run) -> None:
    stream = StationaryDigits(Stationary(unlabelled=True)).build()
    assert stream.spec.class_names == ("all",)
    assert len(stream.train) == 1438
    run = fast_run(
        "bootstrap", benchmark="digits", unlabelled=True, generations=2, evaluators=("accuracy", "depth")
    )
    assert set(run.rows.metric) == {"generation_depth"}, "nothing is classified"
    with pytest.raises(UserError, match="one class leaves nothing to tell apart"):
        fast_run("ddgr", benchmark="digits", generator="mlp-diffusion", unlabelled=True, generations=2)


def test_an_order_seed_is_refused() -> None:
    with pytest.raises(UserError, match="--order-seed has no effect"):
        StationaryDigits(Stationary()).build(order_seed=1)


def overall(run: Run, metric: str) -> list[float]:
    rows = run.rows[(run.rows["metric"] == metric) & run.rows["on_task"].isna() & run.rows["class"].isna()]
    return rows.sort_values("after_task")["value"].tolist()


def test_bootstrap_consumes_itself(fast_run) -> None:
    run = fast_run("bootstrap", benchmark="digits", generations=4)
    assert overall(run, "generation_depth") == [1, 2, 3, 4]
    # Each generation is trained on the last one's samples alone, as many as there were real ones.
    real = StationaryDigits(Stationary()).build(limit=20).tasks[0].train
    for t in range(4):
        assert run.replay(t).counts() == real.counts()
        assert set(run.replay(t).depth.tolist()) == {t + 1}
    # A Gaussian fitted to its own samples loses variance each time; the real data stay where they are.
    fd = overall(run, "fd:classifier")
    assert fd[-1] > fd[0]
    assert len(set(overall(run, "fd:classifier:floor"))) == 1


def test_mixing_in_the_real_data_keeps_depth_at_one(fast_run) -> None:
    run = fast_run("mixed", benchmark="digits", generations=3, lambda_=0.5)
    assert overall(run, "generation_depth") == [1, 1, 1]


def test_nothing_is_judged_twice(fast_run) -> None:
    rows = fast_run("ddgr", benchmark="digits", generations=2, generator="mlp-diffusion", steps=20).rows
    assert set(rows["on_task"].dropna()) == {0}
    keys = ["after_task", "on_task", "class", "metric"]
    assert not rows.duplicated(keys).any()


def test_transfer_compares_with_the_first_generation(fast_run) -> None:
    run = fast_run("bootstrap", benchmark="digits", generations=3)
    acc, bwt = overall(run, "average_accuracy_class_il"), overall(run, "backward_transfer_class_il")
    assert bwt == pytest.approx([a - acc[0] for a in acc[1:]])


def test_a_strategy_that_keeps_nothing_is_refused(fast_run) -> None:
    with pytest.raises(UserError, match="'naive' keeps nothing of classes it has seen"):
        fast_run("naive", benchmark="digits")


def test_a_run_imports_no_avalanche(tmp_path: Path) -> None:
    code = f"""
import sys
import cl_bench
cl_bench.run("bootstrap", "digits", "gaussian", output={str(tmp_path)!r}, quiet=True, limit=8, generations=1,
             classifier_steps=5, evaluators=("accuracy",))
print("avalanche" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
