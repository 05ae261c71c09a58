"""The fitted law beside the true one, in rows: means over replicas with their errors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cl_bench import run
from cl_bench.errors import UserError
from cl_bench.finished_run import Run

LOOP = {"n": 20, "generations": 3, "evaluators": ("depth", "law"), "quiet": True}


def loop(output: Path, **options: object) -> Run:
    return run("bootstrap", "gaussian1d", output=output, **(LOOP | {"replicas": 300} | options))  # type: ignore[arg-type]


def test_rows_are_means_over_replicas_with_standard_errors(tmp_path: Path) -> None:
    rows = loop(tmp_path).rows
    rows = rows[rows.on_task.isna()].set_index(["metric", "after_task"])
    for t in range(3):
        found, error = (rows.loc[(name, t)].value for name in ("law:variance", "law:variance:se"))
        assert abs(found - (1 - 1 / 20) ** (t + 1)) < 5 * error
        assert rows.loc[("law:variance", t)].n == 300
    # Var σ²₁/σ²₀ = 2(n − 1)/n² of one replica.
    expected = math.sqrt(2 * 19 / 400 / 300)
    assert rows.loc[("law:variance:se", 0)].value == pytest.approx(expected, rel=0.25)
    assert rows.loc[("generation_depth", 2)].value == 3


def test_one_replica_has_no_error(tmp_path: Path) -> None:
    metrics = set(loop(tmp_path, replicas=1).rows.metric)
    assert "law:w2" in metrics
    assert not {name for name in metrics if name.endswith(":se")}


def test_replicas_keep_only_the_last_generation(tmp_path: Path) -> None:
    whole = loop(tmp_path)
    kept = [sorted(path.name for path in whole.directory.task(t).iterdir()) for t in range(3)]
    assert "replay.safetensors" not in kept[1]
    assert {"replay.safetensors", "checkpoint.safetensors"} <= set(kept[2])
    expected = whole.rows.drop(columns="seconds")
    assert loop(tmp_path / "again").rows.drop(columns="seconds").equals(expected)


def test_a_generator_that_cannot_keep_replicas_apart_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not keep 300 replicas apart; say replicas=1"):
        loop(tmp_path, generator="mlp-diffusion")


def test_without_a_law_nothing_is_said(fast_run) -> None:
    assert "law:w2" not in set(
        fast_run("bootstrap", benchmark="digits", evaluators=("depth", "law")).rows.metric
    )
