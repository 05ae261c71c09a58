"""The tables of several runs: final values of every line, and how accuracy and drift went there."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from cl_bench.reports import captions, numbers
from cl_bench.reports.columns import FINAL, IDEALS, MOST_FURTHER, OTDD, decimals, further, ideal, standard
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table, number, with_interval

ACC = "average_accuracy_class_il"
OF_ONE = ", where there is one seed"


@dataclass(frozen=True)
class Statistic:
    """Over seeds. std: sample standard deviation, None with one seed. n: seeds that have the number."""

    mean: float
    std: float | None
    n: int


def statistic(values: Iterable[float | None]) -> Statistic | None:
    """Mean and sample standard deviation (n − 1) of the values that are there; None when none is."""
    known = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    if len(known) == 1:
        return Statistic(mean, None, 1)
    square = math.fsum((v - mean) ** 2 for v in known) / (len(known) - 1)
    return Statistic(mean, math.sqrt(square), len(known))


def after(line: Line, metric: str, t: int) -> Statistic | None:
    """`metric` over all seen classes after task `t`, over the seeds of `line`."""
    frames = [numbers.overall(run) for run in line.runs]
    return statistic(numbers.at(f, t, metric) for f in frames)


def tables(group: Group, index: int = 1) -> list[Table]:
    """The final values and the values after each task of `group`, the `index`-th of its report."""
    definitions = Definitions(group.runs)
    more = further(definitions, [numbers.overall(run) for run in group.runs])
    found = [_final(group, definitions, index), _course(group, definitions, index)]
    return [*found, _further(group, definitions, more, index)] if len(more) > MOST_FURTHER else found


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
    shown = standard(FINAL, group.runs[0], measured) if group.runs else FINAL
    names = [*shown, *(more if len(more) <= MOST_FURTHER else ())]
    last = group.num_tasks - 1
    columns = [
        Column("strategy", numeric=False),
        Column("generator", numeric=False),
        Column("seeds"),
        *(Column(_with_ideal(definitions[name].heading, name, measured)) for name in names),
    ]
    found = {(line, name): after(line, name, last) for line in group.lines for name in names}
    best = {name: _best(name, group, definitions, found) for name in names}
    rows = []
    for line in group.lines:
        cells = [Cell(_title(line)), Cell(line.generator or NOTHING), Cell(number(len(line.runs) or None, 0))]
        for name in names:
            cell = found[line, name]
            text = _text(cell, line, name, last)
            beside = ideal(name, measured)
            if cell is not None and beside is not None:
                perfect = after(line, beside[0], last)
                text += f" ({_mean(perfect, name)})"
            cells.append(Cell(text, cell is not None and cell.mean == best[name]))
        rows.append(Row(tuple(cells), muted=bool(line.role)))
    n = captions.span(n for run in group.runs for n in numbers.sizes(run, OTDD, "all", last))
    about = captions.distances(measured, n)
    caption = (
        f"After the last task. {captions.SEEDS} {captions.ARROWS} "
        "Best strategy bold, bounds aside. In brackets: what real data would score."
        f"{captions.intervals(measured, OF_ONE)}{' ' + about if about else ''}{_partial(found, group)}"
    )
    return Table(f"final-{index}", f"Final values: {group.title}", tuple(columns), tuple(rows), caption)


def _further(group: Group, definitions: Definitions, names: list[str], index: int) -> Table:
    last, there = group.num_tasks - 1, [line for line in group.lines if line.runs]
    measured = {str(name) for run in group.runs for name in numbers.overall(run).columns}
    columns = [
        Column("metric", numeric=False),
        *(Column(f"{_title(line)}, {line.generator or NOTHING}") for line in there),
        Column("real data"),
        Column("name", numeric=False),
    ]
    found = {(line, name): after(line, name, last) for line in there for name in names}
    rows = []
    for name in names:
        best = _best(name, group, definitions, found)
        cells = [Cell(definitions[name].heading)]
        for line in there:
            cell = found[line, name]
            cells.append(Cell(_text(cell, line, name, last), cell is not None and cell.mean == best))
        perfect = next(
            (
                value
                for word in IDEALS
                if (value := mean_over_runs(group, f"{name}:{word}", last)) is not None
            ),
            None,
        )
        cells.append(Cell(number(perfect, decimals(name, perfect))))
        rows.append(Row((*cells, Cell(name))))
    caption = (
        f"Further metrics after the last task, over all classes. {captions.SEEDS} {captions.ARROWS} Best "
        "strategy bold, bounds aside. real data: other real data at the same n."
        f"{captions.intervals(measured, OF_ONE)}{_partial(found, group)}"
    )
    return Table(f"further-{index}", f"Further metrics: {group.title}", tuple(columns), tuple(rows), caption)


def _course(group: Group, definitions: Definitions, index: int) -> Table:
    columns = [Column("strategy", numeric=False), Column("generator", numeric=False), Column("seeds")]
    for name in (ACC, OTDD):
        definition = definitions[name]
        columns += [
            Column(str(t + 1), group=f"{definition.heading} after task", flat=f"{definition.title} {t + 1}")
            for t in range(group.num_tasks)
        ]
    rows = []
    for line in group.lines:
        cells = [Cell(_title(line)), Cell(line.generator or NOTHING), Cell(number(len(line.runs) or None, 0))]
        for name in (ACC, OTDD):
            found = [after(line, name, t) for t in range(group.num_tasks)]
            cells += [Cell(number(f.mean if f else None)) for f in found]
        rows.append(Row(tuple(cells), muted=bool(line.role)))
    floors = [floor(group, OTDD, t) for t in range(group.num_tasks)]
    if any(value is not None for value in floors):
        blank = [Cell(NOTHING)] * (2 + group.num_tasks)
        rows.append(
            Row((Cell("floor (real vs real)"), *blank, *(Cell(number(v)) for v in floors)), muted=True)
        )
    n = captions.span(n for run in group.runs for n in numbers.sizes(run, OTDD, "all"))
    caption = (
        f"{definitions[ACC].heading} over the tasks seen and {definitions[OTDD].heading} over the classes "
        f"seen, after each task; mean over seeds. {captions.distances([OTDD], n)}"
    )
    return Table(f"course-{index}", f"After each task: {group.title}", tuple(columns), tuple(rows), caption)


def floor(group: Group, metric: str, t: int) -> float | None:
    """What real data scores against real data after task `t`: the mean over the runs of `group`."""
    return mean_over_runs(group, f"{metric}:floor", t)


def mean_over_runs(group: Group, name: str, t: int) -> float | None:
    """Metric `name` after task `t`, the mean over all runs of `group`; None where none has it."""
    frames = [numbers.overall(run) for run in group.runs]
    found = statistic(numbers.at(f, t, name) for f in frames)
    return found.mean if found else None


def _title(line: Line) -> str:
    return f"{line.name} ({line.role})" if line.role else line.name


def _with_ideal(heading: str, name: str, measured: set[str]) -> str:
    found = ideal(name, measured)
    return f"{heading} ({found[1]})" if found else heading


def _mean(found: Statistic | None, name: str) -> str:
    return number(found.mean, decimals(name, found.mean)) if found else NOTHING


def _text(found: Statistic | None, line: Line, name: str, t: int) -> str:
    """ "0.912 ± 0.010", with "[2]" behind it when only two of the seeds have the number; of one seed
    "0.912 [0.900, 0.924]", where it has an interval after task `t`."""
    if found is None:
        return NOTHING
    text, places = _mean(found, name), decimals(name, found.mean)
    if found.std is not None:
        text += f" ± {number(found.std, places)}"
    if len(line.runs) == 1:
        return with_interval(text, numbers.ends(numbers.overall(line.runs[0]), t, name), places)
    return text if found.n == len(line.runs) else f"{text} [{found.n}]"


def _partial(found: dict[tuple[Line, str], Statistic | None], group: Group) -> str:
    some = any(
        s is not None and s.n != len(line.runs) for (line, _), s in found.items() if line in group.lines
    )
    return " [k]: only k of the seeds have this number." if some else ""


def _best(
    name: str, group: Group, definitions: Definitions, found: dict[tuple[Line, str], Statistic | None]
) -> float | None:
    """The best mean of the lines that are not bounds; None where nothing competes or no way is better."""
    means = [s.mean for line in group.lines if not line.role and (s := found[line, name]) is not None]
    better = definitions[name].higher_is_better
    if better is None or len(means) < 2:
        return None
    return max(means) if better else min(means)
