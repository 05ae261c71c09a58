"""The tables of several runs: final values of every line, their courses, and strategies by benchmarks."""

from __future__ import annotations

import pandas as pd

from cl_bench.reports import captions, numbers
from cl_bench.reports.across import across
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table, number
from cl_bench.reports.columns import FINAL, IDEALS, MOST_FURTHER, OTDD, decimals, further, ideal, standard
from cl_bench.reports.course import courses
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.growth import growth
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.over_seeds import Statistic, after, best, mean_over_runs
from cl_bench.reports.seed_cell import seed_cell, title


def tables(groups: list[Group]) -> list[Table]:
    """Strategies by benchmarks, where there are several; then of each group the final values, those after
    each task, and what the tasks cost."""
    found = across(groups) if len(groups) > 1 else []
    for index, group in enumerate(groups, start=1):
        definitions = Definitions(group.runs)
        more = further(definitions, [numbers.overall(run) for run in group.runs])
        found.append(_final(group, definitions, index))
        if len(more) > MOST_FURTHER:
            found.append(_further(group, definitions, more, index))
        found += [*courses(group, definitions, index), *growth(group, index)]
    return found


def shown_metrics(groups: list[Group]) -> list[str]:
    """The metrics in these tables that some run measured, ideals included; for their definitions."""
    frames = [numbers.overall(run) for group in groups for run in group.runs]
    measured = {str(name) for frame in frames for name in frame.columns}
    columns = [*FINAL, *further(Definitions(run for group in groups for run in group.runs), frames)]
    beside = [found[0] for name in columns if (found := ideal(name, measured))]
    return [name for name in [*columns, *beside] if name in measured]


def wide(groups: list[Group]) -> pd.DataFrame:
    """All final values as one frame, for table.csv: a row per line, mean and std not rounded."""
    runs = [run for group in groups for run in group.runs]
    measured = {str(name) for run in runs for name in numbers.overall(run).columns}
    names = Definitions(runs).order(measured)
    records = []
    for group in groups:
        for line in group.lines:
            record: dict[str, object] = {
                "group": group.title,
                "strategy": line.strategy,
                "options": line.options,
                "generator": line.generator,
                "role": line.role,
                "n_seeds": len(line.runs),
                "seeds": " ".join(str(run.seed) for run in line.runs),
            }
            for name in names:
                found = after(line, name, group.num_tasks - 1)
                record[f"{name}_mean"] = found.mean if found else None
                record[f"{name}_std"] = found.std if found else None
                record[f"{name}_n"] = found.n if found else 0
            records.append(record)
    return pd.DataFrame(records)


def _final(group: Group, definitions: Definitions, index: int) -> Table:
    frames = [numbers.overall(run) for run in group.runs]
    measured = {str(name) for frame in frames for name in frame.columns}
    more = further(definitions, frames)
    names = [*standard(FINAL, measured), *(more if len(more) <= MOST_FURTHER else ())]
    last = group.num_tasks - 1
    columns = [
        Column("strategy", numeric=False),
        Column("generator", numeric=False),
        Column("seeds"),
        *(Column(_with_ideal(definitions[name].heading, name, measured)) for name in names),
    ]
    found = {(line, name): after(line, name, last) for line in group.lines for name in names}
    bests = {name: best(group.lines, name, last, definitions[name].higher_is_better) for name in names}
    rows = []
    for line in group.lines:
        cells = [Cell(title(line)), Cell(line.generator or NOTHING), Cell(number(len(line.runs) or None, 0))]
        for name in names:
            beside = ideal(name, measured)
            perfect = after(line, beside[0], last) if beside else None
            cells.append(seed_cell(found[line, name], line, name, last, bests[name], beside, perfect))
        rows.append(Row(tuple(cells), muted=bool(line.role)))
    n = captions.span(n for run in group.runs for n in numbers.sizes(run, OTDD, "all", last))
    about = captions.distances(measured, n, definitions.extractors)
    caption = (
        f"After the last task. {captions.SEEDS} {captions.ARROWS} "
        f"Best strategy bold, bounds aside. {captions.significance(bests.values())}In brackets: what real "
        f"data would score.{captions.intervals(measured, captions.OF_ONE)}{' ' + about if about else ''}"
        f"{_partial(found, group)}"
    )
    return Table(f"final-{index}", f"Final values: {group.title}", tuple(columns), tuple(rows), caption)


def _further(group: Group, definitions: Definitions, names: list[str], index: int) -> Table:
    last, there = group.num_tasks - 1, [line for line in group.lines if line.runs]
    measured = {str(name) for run in group.runs for name in numbers.overall(run).columns}
    columns = [
        Column("metric", numeric=False),
        *(Column(f"{title(line)}, {line.generator or NOTHING}") for line in there),
        Column("real data"),
        Column("name", numeric=False),
    ]
    found = {(line, name): after(line, name, last) for line in there for name in names}
    rows, bests = [], []
    for name in names:
        top = best(there, name, last, definitions[name].higher_is_better)
        bests.append(top)
        cells = [Cell(definitions[name].heading)]
        cells += [seed_cell(found[line, name], line, name, last, top) for line in there]
        perfect = next(
            (
                value
                for word in IDEALS
                if (value := mean_over_runs(group, f"{name}:{word}", last)) is not None
            ),
            None,
        )
        cells.append(Cell(number(perfect, decimals(name, perfect)), raw={"mean": perfect}))
        rows.append(Row((*cells, Cell(name))))
    caption = (
        f"Further metrics after the last task, over all classes. {captions.SEEDS} {captions.ARROWS} Best "
        f"strategy bold, bounds aside. {captions.significance(bests, 'row')}real data: other real data at "
        "the same n."
        f"{captions.intervals(measured, captions.OF_ONE)}{_partial(found, group)}"
    )
    return Table(f"further-{index}", f"Further metrics: {group.title}", tuple(columns), tuple(rows), caption)


def _with_ideal(heading: str, name: str, measured: set[str]) -> str:
    found = ideal(name, measured)
    return f"{heading} ({found[1]})" if found else heading


def _partial(found: dict[tuple[Line, str], Statistic | None], group: Group) -> str:
    some = any(
        s is not None and s.n != len(line.runs) for (line, _), s in found.items() if line in group.lines
    )
    return " [k]: only k of the seeds have this number." if some else ""
