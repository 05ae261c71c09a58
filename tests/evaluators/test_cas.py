"""The classification accuracy score: one budget for synthetic and real, the real one trained once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl_bench.classifier import Classifier


def test_real_and_synthetic_have_one_budget_and_real_data_are_trained_on_once(
    fast_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path / "cache"))
    trained: list[tuple[str, int]] = []
    fit = Classifier.fit

    def watched(
        self: Classifier, data: Any, progress: Any, what: str = "classifier", *rest: Any, **named: Any
    ) -> None:
        if what.startswith("cas"):
            trained.append((what.split()[0], rest[0]))
        fit(self, data, progress, what, *rest, **named)

    monkeypatch.setattr(Classifier, "fit", watched)
    settings = {"evaluators": ("cas",), "limit": 90, "options": {"tasks": [2, 8]}}
    first = fast_run("bootstrap", **settings)
    # 90 per class less the held-out tenth: 30 passes over 162, then 810 samples in batches of 128.
    assert trained == [("cas", 100), ("cas:real", 100), ("cas", 190), ("cas:real", 190)]
    trained.clear()
    second = fast_run("bootstrap", seed=1, **settings)
    assert trained == [("cas", 100), ("cas", 190)]
    real = [run.rows[run.rows.metric == "cas:real"].value.tolist() for run in (first, second)]
    assert real[0] == real[1]
    for run in (first, second):
        scores = run.rows.pivot_table(values="value", index=["after_task", "on_task"], columns="metric")
        assert len(scores) == 3  # on task 1 twice, on task 2 once
        assert scores["cas_ratio"].to_numpy() == pytest.approx(scores["cas"] / scores["cas:real"], rel=1e-12)
        assert (run.rows[run.rows.metric == "cas_ratio"].on_task.isna()).sum() == 2
