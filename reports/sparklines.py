"""How each metric went, in one line of text: ▂▃▅▇ over the tasks. For terminals only.

They stand in a table of their own behind the others, in plain text as well, so that no column of numbers has
a picture in it; where a stream cannot spell the blocks they become ".:-=+*#%".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cl_bench.finished_run import Run
from cl_bench.reports import numbers
from cl_bench.reports.cells import Cell, Column, Row, Table, number
from cl_bench.reports.columns import ACCURACY, DRIFT, decimals, further, headlines
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import Group
from cl_bench.reports.over_seeds import after
from cl_bench.reports.seed_cell import title

BLOCKS = "▁▂▃▄▅▆▇█"
IN_ASCII = ".:-=+*#%"
UNKNOWN = "·"
MOST_BLOCKS = 40
MOST_METRICS = 12


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """A block per value, the lowest at `low`, the highest at `high`, "·" where there is none; of more than 40
    values, 40 evenly spaced ones with the first and the last. All half high where `low` is `high`."""
    last = len(values) - 1
    if len(values) > MOST_BLOCKS:
        values = [values[round(i * last / (MOST_BLOCKS - 1))] for i in range(MOST_BLOCKS)]
    top = len(BLOCKS) - 1

    def block(value: float) -> str:
        if not math.isfinite(value):
            return UNKNOWN
        share = (value - low) / (high - low) if high > low else 0.5
        return BLOCKS[min(top, max(0, round(share * top)))]

    return "".join(map(block, values))


def of_run(run: Run) -> list[Table]:
    """A line per metric of `run`; none before two tasks are finished."""
    overall, definitions = numbers.overall(run), Definitions([run])
    more = further(definitions, [overall])
    names = [name for name in (*ACCURACY, *DRIFT, *more) if name in overall.columns][:MOST_METRICS]
    rows = []
    for name in names:
        values = overall[name].to_numpy(dtype=float).tolist()
        rows += _row([definitions[name].heading], name, values, values)
    return _table(rows, ("metric",), "by task") if len(overall) > 1 else []


def of_groups(groups: Sequence[Group]) -> list[Table]:
    """A line per strategy and headline metric of each group; all of one metric have one scale."""
    tables = []
    for group in groups:
        definitions, rows = Definitions(group.runs), []
        for name in headlines(definitions, [numbers.overall(run) for run in group.runs]):
            found = {
                line: [s.mean if (s := after(line, name, t)) else math.nan for t in range(group.num_tasks)]
                for line in group.lines
                if line.runs
            }
            every = [value for values in found.values() for value in values]
            for line, values in found.items():
                heading = definitions[name].heading
                rows += _row([heading, title(line), line.generator], name, values, every)
        if group.num_tasks > 1:
            tables += _table(rows, ("metric", "strategy", "generator"), group.title)
    return tables


def _row(leading: list[str], name: str, values: list[float], scale: list[float]) -> list[Row]:
    """Nothing where nothing is known."""
    known = [value for value in scale if math.isfinite(value)]
    own = [value for value in values if math.isfinite(value)]
    if not own:
        return []
    line = sparkline(values, min(known), max(known))
    ends = [number(value, decimals(name, value)) for value in (own[0], own[-1])]
    return [Row(tuple(map(Cell, (*leading, line, *ends))))]


def _table(rows: list[Row], leading: tuple[str, ...], what: str) -> list[Table]:
    columns = [Column(name, numeric=False) for name in (*leading, "course")]
    columns += [Column("first"), Column("last")]
    caption = "Lowest to highest number of a metric, task after task; first and last as numbers."
    return [Table("course", f"Course: {what}", tuple(columns), tuple(rows), caption)] if rows else []
