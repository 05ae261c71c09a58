"""`cl_bench.reports.table`: a metric by strategy and benchmark, or by any two things that runs differ in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from cl_bench.errors import UserError, unknown
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table, digits, number
from cl_bench.tidy import load_runs

Style = Literal["mean±std", "mean", "std", "n"]
Format = Literal["frame", "markdown", "latex", "csv"]

# What a row of the tidy frame says about its run, and what it says about the number.
OF_RUN = (
    "run",
    "strategy",
    "benchmark",
    "generator",
    "options",
    "real",
    "lambda",
    "synthetic_fraction",
    "seed",
)
OF_NUMBER = ("after_task", "on_task", "class", "metric")


def table(
    runs: pd.DataFrame | str | Path,
    metric: str | Sequence[str] = "average_accuracy_class_il",
    rows: str | Sequence[str] = "strategy",
    columns: str | Sequence[str] = "benchmark",
    style: Style = "mean±std",
    format: Format = "frame",
    better: Literal["higher", "lower", ""] = "",
) -> pd.DataFrame | str:
    """`metric` over the seeds, by `rows` and `columns`.

    runs: a frame as `load_runs` gives it, or part of one, or the folder to load. Runs that are not finished
    are left out. rows, columns: names of its columns: what runs differ in (strategy, options, lambda, …) or
    what a number is about (after_task, on_task, class, metric). Where after_task is not among them, the
    number is that after each run's last task; where on_task and class are not, that over all classes seen.
    style: mean ± sample standard deviation (n − 1, none with one seed) as text, or one of mean, std and n,
    the number of seeds, as numbers. format: a DataFrame, or its text for Markdown, LaTeX (booktabs) or CSV.
    better: print the best mean of each column in bold, in Markdown and LaTeX.

    Only seeds are averaged. Raises UserError where a cell would hold runs that differ in anything else: name
    in rows what they differ in, as rows=["strategy", "options"].
    """
    for name, value, known in (("style", style, Style), ("format", format, Format)):
        if value not in get_args(known):
            raise unknown(name, value, get_args(known))
    metrics, rows, columns = ([v] if isinstance(v, str) else list(v) for v in (metric, rows, columns))
    frame = runs if isinstance(runs, pd.DataFrame) else load_runs(runs)
    chosen = _chosen(frame, metrics, {*rows, *columns})
    by = chosen.groupby([*rows, *columns], dropna=False, observed=True, sort=False)["value"]
    values = {"mean": by.mean(), "std": by.std(ddof=1), "n": by.count()}
    wide = {name: _wide(found, columns) for name, found in values.items()}
    wide["n"] = wide["n"].fillna(0).astype("int64")
    if format == "frame" or (format == "csv" and style != "mean±std"):
        shown = _texts(wide) if style == "mean±std" else wide[style]
        return shown if format == "frame" else shown.to_csv(lineterminator="\n")
    if format == "csv":
        return _texts(wide).to_csv(lineterminator="\n")
    return _document(wide, style, format, better, metrics)


def _chosen(frame: pd.DataFrame, metrics: list[str], axes: set[str]) -> pd.DataFrame:
    """The numbers that the cells are made of. Raises UserError."""
    for name in axes:
        if name not in OF_RUN + OF_NUMBER:
            raise unknown("column", name, OF_RUN + OF_NUMBER)
    measured = sorted(frame["metric"].unique())
    for name in metrics:
        if name not in measured:
            raise unknown("metric", name, measured)
    if len(metrics) > 1 and "metric" not in axes:
        raise UserError(f"{len(metrics)} metrics in one cell; name 'metric' in rows or columns")
    found = frame[frame["finished"] & frame["metric"].isin(metrics)]
    if "after_task" not in axes:
        last = frame.groupby("run")["after_task"].max()
        found = found[found["after_task"] == found["run"].map(last)]
    about_class, about_task = found["class"].notna(), found["on_task"].notna()
    found = found[about_class if "class" in axes else ~about_class & (about_task == ("on_task" in axes))]
    _check(found, sorted(axes))
    return found


def _check(found: pd.DataFrame, axes: list[str]) -> None:
    """Raises UserError unless the numbers of each cell are of one configuration and each of another seed."""
    cells = found.groupby(axes, dropna=False, observed=True, sort=False)
    for name in ("strategy", "benchmark", "generator", "options"):
        counts = cells[name].transform("nunique")
        if (counts > 1).any():
            several = found[counts > 1]
            one = several[(several[axes].astype(object) == several[axes].astype(object).iloc[0]).all(axis=1)]
            values = ", ".join(repr(value) for value in sorted(one[name].unique())[:4])
            raise UserError(f"a cell holds more than one {name} ({values}); name {name!r} in rows or columns")
    if found.duplicated([*axes, *({"seed"} - set(axes))]).any():
        raise UserError(
            "a cell holds several runs of one seed; name 'run' in rows or columns to tell them apart"
        )


def _wide(found: pd.Series[Any], columns: list[str]) -> pd.DataFrame:
    """Rows and columns in the order of their names or numbers."""
    wide = found.unstack(columns)
    return wide.sort_index().sort_index(axis=1)


def _texts(wide: dict[str, pd.DataFrame]) -> pd.DataFrame:
    means, stds = wide["mean"], wide["std"]
    texts = [
        [_text(mean, std) for mean, std in zip(*pair, strict=True)]
        for pair in zip(means.to_numpy(dtype=float), stds.to_numpy(dtype=float), strict=True)
    ]
    return pd.DataFrame(texts, means.index, means.columns)


def _text(mean: float, std: float) -> str:
    places = digits(mean)
    if mean != mean:
        return NOTHING
    return number(mean, places) + (f" ± {number(std, places)}" if std == std else "")


def _document(
    wide: dict[str, pd.DataFrame], style: Style, format: Format, better: str, metrics: list[str]
) -> str:
    from cl_bench.reports import exports

    means = wide["mean"]
    values = means.to_numpy(dtype=float)
    best = {"higher": means.max(), "lower": means.min()}[better].to_numpy(dtype=float) if better else None
    texts = _texts(wide) if style == "mean±std" else wide[style].map(_number)
    heads = [Column(str(name), numeric=False) for name in means.index.names]
    heads += [Column(_name(column)) for column in means.columns]
    rows = []
    for i, name in enumerate(means.index):
        cells = [Cell(_name(part)) for part in (name if isinstance(name, tuple) else (name,))]
        for j in range(means.shape[1]):
            strong = best is not None and bool(values[i, j] == best[j])
            cells.append(Cell(str(texts.iat[i, j]), strong))
        rows.append(Row(tuple(cells)))
    counts = sorted(set(wide["n"].to_numpy().ravel().tolist()) - {0})
    seeds = " to ".join(dict.fromkeys(str(n) for n in (counts[:1] + counts[-1:])))
    what = {"mean±std": "mean ± sample standard deviation over seeds", "mean": "mean over seeds"}
    caption = f"{', '.join(metrics)}: {what.get(style, style)}, n = {seeds or 0} seeds"
    made = Table("table", ", ".join(metrics), tuple(heads), tuple(rows), f"{caption}.")
    return exports.latex([made]) if format == "latex" else exports.markdown_table(made) + "\n"


def _number(value: float) -> str:
    return (
        str(int(value)) if float(value).is_integer() and abs(value) < 10_000 else number(value, digits(value))
    )


def _name(value: Any) -> str:
    """A heading: several names with a comma, numbers as they are typed."""
    if isinstance(value, tuple):
        return ", ".join(_name(part) for part in value)
    return NOTHING if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value)
