"""Two sets of samples compared, as a table on standard output."""

from __future__ import annotations

import pandas as pd

from cl_bench.reports import captions
from cl_bench.reports.cells import Cell, Column, Row, Table, digits, number, with_interval
from cl_bench.reports.terminal import show as show_tables
from cl_bench.rows import ENDS

ARROWS = {"higher": "↑", "lower": "↓", "": ""}


def show(found: pd.DataFrame, real: str, fake: str, per_class: bool) -> None:
    """Print what `compare_sets` found."""
    tables = []
    for extractor, part in found.groupby("extractor", dropna=False, sort=False):
        where = f"Features: {extractor!s}" if isinstance(extractor, str) else "Whatever the features"
        tables.append(_table(where, part[part["class"].isna()]))
        if per_class:
            for c, of_class in part.dropna(subset="class").groupby("class"):
                tables.append(_table(f"{where}, class {c}", of_class))
    show_tables(f"{fake} against {real}", tables, (), plain=False)


def _table(title: str, found: pd.DataFrame) -> Table:
    columns = (
        Column("metric", numeric=False),
        Column("value"),
        Column("real vs real"),
        Column("n"),
        Column("name", numeric=False),
    )
    rows = []
    for row in found.to_dict("records"):
        value = None if pd.isna(row["value"]) else float(row["value"])
        ideal = None if pd.isna(row["ideal"]) else float(row["ideal"])
        decimals = digits(value or 0.0)
        low, high = (row.get(word) for word in ENDS)
        ends = None if pd.isna(low) or pd.isna(high) else (float(low), float(high))
        heading = f"{row['title']} {ARROWS[row['better']]}".strip()
        text = with_interval(number(value, decimals), ends, decimals)
        texts = (heading, text, number(ideal, decimals), str(row["n"]), row["metric"])
        rows.append(Row(tuple(Cell(text) for text in texts)))
    caption = (
        "↑ higher is better, ↓ lower is better. n: samples on each side. real vs real: the same between two "
        f"parts of the first set.{captions.intervals(f'value:{word}' for word in found.columns)}"
    )
    return Table(title, title, columns, tuple(rows), caption)
