"""Distances through the whole loop: the floor is below replay, and drift shows."""

from __future__ import annotations

import pytest


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
