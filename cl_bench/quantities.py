"""The numbers that claims are about, one per finished run, from its rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cl_bench.claims import Quantity

if TYPE_CHECKING:
    import pandas as pd

    from cl_bench.finished_run import Run


@dataclass(frozen=True)
class Observation:
    """A finished run as claims see it. rows: as in `Run.rows`. seen: classes seen after each of its tasks."""

    seed: int
    rows: pd.DataFrame
    seen: tuple[int, ...]


def observe(run: Run) -> Observation:
    """A finished run's rows."""
    tasks: list[list[int]] = run.manifest["tasks"]
    seen = tuple(len({c for classes in tasks[: t + 1] for c in classes}) for t in range(len(tasks)))
    return Observation(run.seed, run.rows, seen)


def series(observation: Observation, metric: str, task: Literal["all"] | int) -> dict[int, float]:
    """`metric` by task learned (from 0), where it is defined: over all classes seen, or of one, from 1."""
    rows = observation.rows
    rows = rows[(rows["metric"] == metric) & (rows["after_task"] >= 0) & rows["class"].isna()]
    rows = (
        rows[rows["on_task"].isna()] if task == "all" else rows[(rows["on_task"] == task - 1).fillna(False)]
    )
    found = zip(rows["after_task"], rows["value"], strict=True)
    return {int(t): float(value) for t, value in found if math.isfinite(value)}


def number_of(quantity: Quantity, observation: Observation) -> float | None:
    """The quantity of one run, None where its rows do not give it, as where there is nothing to divide by;
    `minus` is not looked at."""
    values = series(observation, quantity.metric, quantity.task)
    if quantity.per is not None:
        ideal = series(observation, quantity.per, quantity.task)
        if not all(ideal.get(t) for t in values):
            return None
        values = {t: value / ideal[t] for t, value in values.items()}
    if quantity.stage:
        return values.get(_stage(quantity, observation) - 1)
    if len(values) < (2 if quantity.over == "slope" else 1):
        return None
    if quantity.over == "slope":
        return _slope(values)
    found = list(values.values())
    return {"mean": math.fsum(found) / len(found), "min": min(found), "max": max(found)}[str(quantity.over)]


def _slope(values: Mapping[int, float]) -> float:
    """Least-squares slope over the tasks; 0 exactly where all values are equal."""
    n = len(values)
    centre, level = math.fsum(values) / n, next(iter(values.values()))
    # Any level may be subtracted, since Σ(t − t̄) = 0; one of the values keeps a constant series at 0.
    up = math.fsum((t - centre) * (value - level) for t, value in values.items())
    return up / math.fsum((t - centre) ** 2 for t in values)


def per_seed(quantity: Quantity, observations: Sequence[Observation]) -> dict[int, float]:
    found = {o.seed: number_of(quantity, o) for o in sorted(observations, key=lambda o: o.seed)}
    return {seed: value for seed, value in found.items() if value is not None}


def _stage(quantity: Quantity, observation: Observation) -> int:
    """The task, from 1, at which it looks."""
    return quantity.over if isinstance(quantity.over, int) else len(observation.seen)


def at_stage(quantity: Quantity, observation: Observation) -> dict[str, float]:
    stage = _stage(quantity, observation)
    if not quantity.stage or stage > len(observation.seen):
        return {}
    return {"t": stage, "classes": observation.seen[stage - 1]}
