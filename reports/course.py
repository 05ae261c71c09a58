"""How each line went: a table for each headline metric, strategies below each other, tasks side by side."""

from __future__ import annotations

import numpy as np

from cl_bench.reports import captions, numbers
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table, number
from cl_bench.reports.columns import IDEALS, decimals, headlines
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.over_seeds import Statistic, after, mean_over_runs
from cl_bench.reports.seed_cell import title

MOST_TASKS = 24  # columns; of more tasks so many are shown, evenly spaced
MOST_WITH_STD = 6

WORDS = {"floor": "floor (real vs real)", "real": "real data"}


def courses(group: Group, definitions: Definitions, index: int) -> list[Table]:
    """A table per headline metric of `group`, the `index`-th of its report."""
    names = headlines(definitions, [numbers.overall(run) for run in group.runs])
    return [_course(group, definitions, name, f"course-{index}-{i}") for i, name in enumerate(names, start=1)]


def shown_tasks(tasks: int) -> list[int]:
    """Which of so many tasks have a column: all, or evenly spaced ones with the first and the last."""
    return sorted({round(t) for t in np.linspace(0, tasks - 1, min(tasks, MOST_TASKS))})


def _course(group: Group, definitions: Definitions, name: str, label: str) -> Table:
    definition, shown = definitions[name], shown_tasks(group.num_tasks)
    columns = [
        *leading(),
        *(
            Column(str(t + 1), group=f"{definition.heading} after {group.word}", flat=f"{group.word} {t + 1}")
            for t in shown
        ),
    ]
    rows = []
    for line in group.lines:
        series = [after(line, name, t) for t in shown]
        cells = [course_cell(s, decimals(name, s.mean if s else None), len(shown)) for s in series]
        rows.append(Row((*first_cells(line), *cells), muted=bool(line.role)))
    for word in IDEALS:
        means = [mean_over_runs(group, f"{name}:{word}", t) for t in shown]
        if any(mean is not None for mean in means):
            cells = [Cell(number(m, decimals(name, m)), raw={"mean": m}) for m in means]
            rows.append(Row((Cell(WORDS[word]), Cell(NOTHING), Cell(NOTHING), *cells), muted=True))
    n = captions.span(n for run in group.runs for n in numbers.sizes(run, name, "all"))
    about = captions.distances([name], n, definitions.extractors)
    caption = (
        f"{definition.heading} after each {group.word}, over all classes seen. {spread(len(shown))}"
        f"{left_out(len(shown), group.num_tasks, group.word)}{' ' + about if about else ''}"
    )
    what = f"{definition.title} after each {group.word}: {group.title}"
    return Table(label, what, tuple(columns), tuple(rows), caption)


def leading() -> list[Column]:
    """The columns that say which line a row is."""
    return [Column("strategy", numeric=False), Column("generator", numeric=False), Column("seeds")]


def first_cells(line: Line) -> list[Cell]:
    """A line's cells of the `leading` columns."""
    return [Cell(title(line)), Cell(line.generator or NOTHING), Cell(number(len(line.runs) or None, 0))]


def course_cell(found: Statistic | None, places: int, shown: int) -> Cell:
    """Mean and, where few tasks leave room, deviation."""
    if found is None:
        return Cell(NOTHING)
    text = number(found.mean, places)
    if found.std is not None and shown <= MOST_WITH_STD:
        text += f" ± {number(found.std, places)}"
    return Cell(text, raw={"mean": found.mean, "std": found.std, "n": found.n})


def spread(shown: int) -> str:
    """How to read a cell."""
    return captions.SEEDS if shown <= MOST_WITH_STD else "Mean over seeds."


def left_out(shown: int, tasks: int, along: str) -> str:
    return "" if shown == tasks else f" {shown} of {tasks} {along}s are shown; rows.csv has all."
