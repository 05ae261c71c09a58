"""What judging a task costs does not grow with the tasks before it: nothing of real data is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl_bench.finished_run import Run
from cl_bench.runner import run
from cl_bench.set_comparison import EVALUATORS

LIMIT = 1.2


def seconds(made: Run) -> list[float]:
    """Of all evaluators, by task."""
    finished = (made.path / f"task_{t:02d}" / "finished.json" for t in range(len(made.manifest["tasks"])))
    return [sum(json.loads(file.read_text())["seconds_by_evaluator"].values()) for file in finished]


@pytest.mark.perf
def test_later_generations_cost_no_more_than_early_ones(tmp_path: Path) -> None:
    options = {"generations": 12, "classifier_steps": 20}
    settings = {"generator": "gaussian", "evaluators": EVALUATORS, "output": tmp_path, "quiet": True}
    found = seconds(run("bootstrap", "digits", options=options, **settings))  # type: ignore[arg-type]
    # The first one pays for features and floors of the real data.
    # Least of several: other work on the machine only adds.
    early, late = min(found[1:6]), min(found[6:])
    print(f"\njudging a generation: first {found[0]:.2f} s, then {early:.2f} s at best, later {late:.2f} s")
    assert late <= LIMIT * early
