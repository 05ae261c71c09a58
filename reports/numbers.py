"""Rows to pandas: the numbers of one run by task. Tasks count from 0, as in the rows.

Only finished tasks are read: what an interrupted task left behind is not a result yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import pandas as pd

from cl_bench.finished_run import Run
from cl_bench.reports.columns import OTDD, OTDD_SLOPE
from cl_bench.rows import ENDS

# Runs whose numbers are kept at hand; a report asks for the same ones many times.
KEPT = 1024


@lru_cache(maxsize=KEPT)
def _finished(run: Run) -> pd.DataFrame:
    rows = run.rows
    return rows[(rows["after_task"] >= 0) & (rows["after_task"] < run.done)]


@lru_cache(maxsize=KEPT)
def _about_all(run: Run) -> pd.DataFrame:
    rows = _finished(run)
    rows = rows[rows["on_task"].isna() & rows["class"].isna()]
    return rows.drop_duplicates(["after_task", "metric"], keep="last")


@lru_cache(maxsize=KEPT)
def overall(run: Run) -> pd.DataFrame:
    """Values over all seen classes: a row per finished task, a column per metric, NaN where undefined.
    Besides what the rows hold, the slope of OTDD, and of its floor, over the tasks up to each."""
    wide = _about_all(run).pivot(index="after_task", columns="metric", values="value")
    wide = wide.reindex(range(run.done)).rename_axis(index="after_task", columns=None)
    for word in ("", ":floor"):
        if f"{OTDD}{word}" in wide.columns:
            values = wide[f"{OTDD}{word}"].tolist()
            wide[f"{OTDD_SLOPE}{word}"] = [slope(values[: t + 1]) for t in range(len(values))]
    return wide


def slope(values: Sequence[float]) -> float:
    """Least-squares slope of values[t] against t = 0, 1, …, NaN entries aside: Σ (t − t̄)(v − v̄) / Σ (t − t̄)².
    NaN with fewer than two values."""
    known = [(t, v) for t, v in enumerate(values) if math.isfinite(v)]
    if len(known) < 2:
        return math.nan
    at = math.fsum(t for t, _ in known) / len(known)
    level = math.fsum(v for _, v in known) / len(known)
    return math.fsum((t - at) * (v - level) for t, v in known) / math.fsum((t - at) ** 2 for t, _ in known)


@lru_cache(maxsize=KEPT)
def overall_n(run: Run) -> pd.DataFrame:
    """The sample numbers that `overall` rests on, in its shape."""
    wide = _about_all(run).pivot(index="after_task", columns="metric", values="n")
    return wide.reindex(range(run.done)).rename_axis(index="after_task", columns=None)


@lru_cache(maxsize=KEPT)
def series(run: Run) -> dict[str, list[float]]:
    """The columns of `overall` as lists, for those who ask for one number at a time."""
    wide = overall(run)
    return {str(name): wide[name].tolist() for name in wide.columns}


def at(overall: pd.DataFrame, after_task: int, metric: str) -> float | None:
    """One number of an `overall` frame; None when it is not there."""
    if metric not in overall.columns or after_task not in overall.index:
        return None
    value = overall.at[after_task, metric]
    return float(value) if isinstance(value, float) and value == value else None


def of(run: Run, metric: str, after_task: int) -> float | None:
    """`at` of the `overall` frame of `run`."""
    values = series(run).get(metric, [])
    value = values[after_task] if after_task < len(values) else math.nan
    return value if value == value else None


def ends(overall: pd.DataFrame, after_task: int, metric: str) -> tuple[float, float] | None:
    """The interval of one number of an `overall` frame; None when there is none."""
    low, high = (at(overall, after_task, f"{metric}:{word}") for word in ENDS)
    return None if low is None or high is None else (low, high)


def ends_on_task(run: Run, metric: str) -> dict[tuple[int, int], tuple[float, float]]:
    """The intervals of `metric`, where it has them, by (after task, on task)."""
    low, high = (per_task(run, f"{metric}:{word}") for word in ENDS)
    values = zip(low.to_numpy(dtype=float), high.to_numpy(dtype=float), strict=True)
    return {
        (t, i): (float(a), float(b))
        for t, (lows, highs) in enumerate(values)
        for i, (a, b) in enumerate(zip(lows, highs, strict=True))
        if a == a and b == b
    }


def per_task(run: Run, metric: str) -> pd.DataFrame:
    """Values of `metric`: a row per finished task, a column per task it is about, NaN where unknown. No
    columns where every task has the same classes."""
    rows = _finished(run)
    rows = rows[(rows["metric"] == metric) & rows["on_task"].notna() & rows["class"].isna()]
    rows = rows.drop_duplicates(["after_task", "on_task"], keep="last").astype({"on_task": "int64"})
    wide = rows.pivot(index="after_task", columns="on_task", values="value")
    columns = range(0 if run.stationary else run.num_tasks)
    return wide.reindex(index=range(run.done), columns=columns)


def per_class(run: Run, metric: str, after_task: int) -> dict[int, float]:
    """Values of `metric` after `after_task` by class, in the order in which classes came."""
    rows = _finished(run)
    rows = rows[(rows["metric"] == metric) & rows["class"].notna() & (rows["after_task"] == after_task)]
    return {int(c): float(value) for c, value in zip(rows["class"], rows["value"], strict=True)}


def sizes(run: Run, metric: str, scope: str, after_task: int | None = None) -> list[int]:
    """The sample numbers of `metric`; scope: "all" seen classes, one "task" or one "class" at a time."""
    rows = _about_all(run) if scope == "all" else _finished(run)
    rows = rows[rows["metric"] == metric]
    if after_task is not None:
        rows = rows[rows["after_task"] == after_task]
    class_ = rows["class"].notna()
    chosen = {"all": ~class_, "task": rows["on_task"].notna() & ~class_, "class": class_}[scope]
    return [int(n) for n in rows.loc[chosen, "n"]]
