"""Rows to pandas: the numbers of one run by task. Tasks count from 0, as in the rows.

Only finished tasks are read: what an interrupted task left behind is not a result yet.
"""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from cl_bench.finished_run import Run


def _finished(run: Run) -> pd.DataFrame:
    rows = run.rows
    return rows[(rows["after_task"] >= 0) & (rows["after_task"] < run.directory.finished_tasks())]


def _about_all(run: Run) -> pd.DataFrame:
    rows = _finished(run)
    rows = rows[rows["on_task"].isna() & rows["class"].isna()]
    return rows.drop_duplicates(["after_task", "metric"], keep="last")


@lru_cache(maxsize=256)
def overall(run: Run) -> pd.DataFrame:
    """Values over all seen classes: a row per finished task, a column per metric, NaN where undefined."""
    wide = _about_all(run).pivot(index="after_task", columns="metric", values="value")
    return wide.reindex(range(run.directory.finished_tasks())).rename_axis(index="after_task", columns=None)


@lru_cache(maxsize=256)
def overall_n(run: Run) -> pd.DataFrame:
    """The sample numbers that `overall` rests on, in its shape."""
    wide = _about_all(run).pivot(index="after_task", columns="metric", values="n")
    return wide.reindex(range(run.directory.finished_tasks())).rename_axis(index="after_task", columns=None)


def at(overall: pd.DataFrame, after_task: int, metric: str) -> float | None:
    """One number of an `overall` frame; None when it is not there."""
    if metric not in overall.columns or after_task not in overall.index:
        return None
    value = float(overall[metric].to_numpy(dtype=float)[overall.index.get_loc(after_task)])
    return value if value == value else None


def per_task(run: Run, metric: str) -> pd.DataFrame:
    """Values of `metric`: a row per finished task, a column per task it is about, NaN where unknown. No
    columns where every task has the same classes."""
    rows = _finished(run)
    rows = rows[(rows["metric"] == metric) & rows["on_task"].notna() & rows["class"].isna()]
    rows = rows.drop_duplicates(["after_task", "on_task"], keep="last").astype({"on_task": "int64"})
    wide = rows.pivot(index="after_task", columns="on_task", values="value")
    columns = range(0 if run.stationary else run.num_tasks)
    return wide.reindex(index=range(run.directory.finished_tasks()), columns=columns)


def per_class(run: Run, metric: str, after_task: int) -> dict[int, float]:
    """Values of `metric` after `after_task` by class, in the order in which classes came."""
    rows = _finished(run)
    rows = rows[(rows["metric"] == metric) & rows["class"].notna() & (rows["after_task"] == after_task)]
    return {int(c): float(value) for c, value in zip(rows["class"], rows["value"], strict=True)}


def sizes(run: Run, metric: str, scope: str, after_task: int | None = None) -> list[int]:
    """The sample numbers of `metric`; scope: "all" seen classes, one "task" or one "class" at a time."""
    rows = _finished(run)
    rows = rows[rows["metric"] == metric]
    if after_task is not None:
        rows = rows[rows["after_task"] == after_task]
    on_task, class_ = rows["on_task"].notna(), rows["class"].notna()
    chosen = {"all": ~on_task & ~class_, "task": on_task & ~class_, "class": class_}[scope]
    return [int(n) for n in rows.loc[chosen, "n"]]
