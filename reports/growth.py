"""What a task costs as the classes seen grow: seconds of training, and network evaluations for replay.

A strategy that replays all classes seen works in proportion to them: its cost per task is at best linear. The
exponent p of cost ∝ (classes seen)ᵖ says so in a number: 1 is linear, less is slower, more is faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from cl_bench.finished_run import Run
from cl_bench.reports.cells import Column, Row, Table
from cl_bench.reports.course import course_cell, first_cells, leading, left_out, shown_tasks, spread
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.numbers import KEPT
from cl_bench.reports.over_seeds import Statistic, statistic


@dataclass(frozen=True)
class Cost:
    """key: as in a task's costs. unit: of its axis."""

    key: str
    title: str
    unit: str
    doc: str

    def decimals(self, found: Statistic | None) -> int:
        """Tenths of a second below a thousand."""
        return 1 if self.unit and found is not None and found.mean < 1000 else 0


COSTS = (
    Cost(
        "seconds_training",
        "training time",
        "s",
        "Seconds of a task's learning by the clock, the drawing of replay included; comparable on one "
        "machine that did nothing else.",
    ),
    Cost(
        "network_evaluations",
        "network evaluations",
        "",
        "Evaluations of the generator's network to draw replay, one per image and step. Rehearsal within "
        "training begins with the second task, and the exponent takes that for growth.",
    ),
)


@lru_cache(maxsize=KEPT)
def _costs(run: Run) -> list[dict[str, Any]]:
    return run.costs


def costs(run: Run, key: str) -> tuple[float, ...]:
    """A cost of each finished task; NaN where it was not measured."""
    found = [cost.get(key) for cost in _costs(run)]
    return tuple(math.nan if value is None else float(value) for value in found)


def seen(run: Run) -> list[int]:
    """Classes learned after each task."""
    tasks = run.manifest["tasks"]
    return [len({c for task in tasks[: t + 1] for c in task}) for t in range(len(tasks))]


def exponent(run: Run, key: str) -> float:
    """p of cost ∝ (classes seen)ᵖ, by least squares in logarithms over the tasks with a positive cost; NaN
    with fewer than three numbers of classes."""
    found = costs(run, key)
    return log_slope(seen(run)[: len(found)], found)


def after_task(line: Line, key: str, t: int) -> Statistic | None:
    """The cost of task `t` over seeds."""
    return statistic(found[t] for run in line.runs if t < len(found := costs(run, key)))


def grows(group: Group) -> bool:
    """Whether the classes seen grow over three tasks or more, so that there is a growth to show."""
    return bool(group.runs) and len(set(seen(group.runs[0]))) >= 3


def growth(group: Group, index: int) -> list[Table]:
    """A table per cost that some line has; none where classes do not grow."""
    if not grows(group):
        return []
    tables = [_table(group, cost, f"cost-{index}-{i}") for i, cost in enumerate(COSTS, start=1)]
    return [table for table in tables if table is not None]


def _table(group: Group, cost: Cost, label: str) -> Table | None:
    shown, classes = shown_tasks(group.num_tasks), seen(group.runs[0])
    found = {line: [after_task(line, cost.key, t) for t in shown] for line in group.lines if line.runs}
    if not any(s is not None and s.mean > 0 for series in found.values() for s in series):
        return None
    unit = f", {cost.unit}" if cost.unit else ""
    columns = [
        *leading(),
        *(
            Column(
                f"{t + 1} ({classes[t]})",
                group=f"{cost.title}{unit}, of task (classes seen)",
                flat=f"task {t + 1} ({classes[t]})",
            )
            for t in shown
        ),
        Column("exponent"),
    ]
    rows = []
    for line, series in found.items():
        cells = [course_cell(s, cost.decimals(s), len(shown)) for s in series]
        power = statistic(exponent(run, cost.key) for run in line.runs)
        cells.append(course_cell(power, 2, 1))
        rows.append(Row((*first_cells(line), *cells), muted=bool(line.role)))
    caption = (
        f"{cost.doc} Exponent: the power of the classes seen that the cost grows with, by least squares in "
        f"logarithms; 1 is linear, less is slower. {spread(len(shown))}"
        f"{left_out(len(shown), group.num_tasks, 'task')}"
    )
    title = f"{cost.title[0].upper()}{cost.title[1:]} by task: {group.title}"
    return Table(label, title, tuple(columns), tuple(rows), caption)


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of log y against log x where both are positive; NaN with fewer than three x."""
    known = [(a, b) for a, b in zip(x, y, strict=True) if a > 0 and b > 0]
    if len({a for a, _ in known}) < 3:
        return float("nan")
    log_x, log_y = np.log(np.array(known).T)
    centred = log_x - log_x.mean()
    return float(centred @ log_y / (centred @ centred))
