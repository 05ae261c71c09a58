"""Distances through the whole loop: the floor is below replay, and drift shows."""

from __future__ import annotations

import pytest

from cl_bench.metrics.otdd import OTDDResult, otdd


@pytest.fixture
def rows(fast_run):
    return fast_run("bootstrap", limit=None, generator="gaussian", evaluators=("otdd", "frechet", "cas")).rows


def test_bootstrapping_drifts_away_from_the_floor(rows) -> None:
    for metric in ("otdd:classifier", "fd:classifier"):
        seen = rows[rows.on_task.isna() & rows["class"].isna()]
        replay = seen[seen.metric == metric].set_index("after_task").value
        floor = seen[seen.metric == f"{metric}:floor"].set_index("after_task").value
        assert (replay > floor).all()
        # Task 0's classes, after more and more generations of their own samples.
        oldest = rows[(rows.metric == metric) & (rows.on_task == 0) & rows["class"].isna()]
        oldest = oldest.set_index("after_task").value
        assert oldest[4] > oldest[0]


def test_every_scope_has_a_row_with_its_n(rows) -> None:
    last = rows[(rows.after_task == 4) & (rows.metric == "otdd:classifier")]
    assert int(last["class"].notna().sum()) == 10
    per_task = last[last.on_task.notna() & last["class"].isna()]
    assert sorted(per_task.on_task) == [0, 1, 2, 3, 4]
    assert int(last[last.on_task.isna()].n.iloc[0]) == 359
    assert int(per_task.n.sum()) == 359


def test_cas_is_below_train_on_real(rows) -> None:
    last = rows[(rows.after_task == 4) & rows.on_task.isna()].set_index("metric").value
    assert last["cas:real"] > 0.95
    assert 0.5 < last["cas"] < last["cas:real"]


@pytest.mark.parametrize(("limit", "solver"), [(100, "sinkhorn"), (5000, "emd")])
def test_one_solver_from_the_first_task_to_the_last(fast_run, monkeypatch, limit: int, solver: str) -> None:
    """Else its own bias would be a step in the curve, where the classes seen pass the limit."""
    solvers = set()

    def watched(*sets: object, **options: object) -> OTDDResult:
        found = otdd(*sets, **options)  # type: ignore[arg-type]
        solvers.add((found.outer, len(sets[0]) > 100))  # type: ignore[arg-type]
        return found

    monkeypatch.setattr("cl_bench.evaluators.otdd.EMD_LIMIT", limit)
    monkeypatch.setattr("cl_bench.evaluators.otdd.otdd", watched)
    fast_run("bootstrap", limit=None, generator="gaussian", evaluators=("otdd",), options={"tasks": 2})
    assert solvers == {(solver, False), (solver, True)}
