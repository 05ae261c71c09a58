"""The tables of one run: accuracy, drift, and OTDD by task and class; a row per finished task."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cl_bench.finished_run import Run
from cl_bench.reports import captions, numbers
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table, number, with_interval
from cl_bench.reports.columns import (
    ACCURACY,
    DRIFT,
    ERROR,
    FD,
    MATRIX,
    MOST_FURTHER,
    OTDD,
    OTDD_SLOPE,
    decimals,
    further,
    ideal,
    standard,
)
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import progress
from cl_bench.rows import ENDS

LISTED_CLASSES = 4
COSTS = (
    "seconds_training",
    "seconds_sampling",
    "network_evaluations",
    "peak_memory_mb",
    "peak_memory_of",
    "stored_bytes",
)


def tables(run: Run) -> list[Table]:
    """All tables of `run`. Without distances by task there is no table of them."""
    definitions, overall = Definitions([run]), numbers.overall(run)
    judged = numbers.sizes(run, MATRIX, "task") or not len(overall)
    found = [_accuracy(run, definitions, overall)] if judged else []
    found.append(_drift(run, definitions, overall))
    by_task = numbers.per_task(run, OTDD)
    if by_task.notna().any(axis=None):
        found.append(_distance_by_task(run, definitions, by_task))
    if OTDD in overall.columns:
        found.append(_distance_by_class(run, definitions))
    more = further(definitions, [overall])
    if len(more) > MOST_FURTHER:
        found.append(_further(run, definitions, overall, more))
    return found


def shown_metrics(run: Run) -> list[str]:
    """The metrics in these tables that `run` measured, ideals included; for their definitions."""
    overall = numbers.overall(run)
    columns = [MATRIX, *ACCURACY, *DRIFT, *further(Definitions([run]), [overall])]
    beside = [found[0] for name in columns if (found := ideal(name, overall.columns))]
    return [name for name in [*columns, *beside] if name in {*overall.columns, MATRIX}]


def wide(run: Run) -> pd.DataFrame:
    """All numbers by task as one frame, for table.csv: tasks count from 1, values are not rounded."""
    overall, matrix = numbers.overall(run), numbers.per_task(run, MATRIX)
    matrix.columns = pd.Index([f"{MATRIX}_task_{i + 1}" for i in range(matrix.shape[1])])
    for (t, i), ends in numbers.ends_on_task(run, MATRIX).items():
        for word, end in zip(ENDS, ends, strict=True):
            matrix.loc[t, f"{MATRIX}_task_{i + 1}:{word}"] = end
    frame = pd.concat([matrix, overall], axis=1)
    frame.insert(0, "after_task_number", [t + 1 for t in range(len(frame))])
    frame.insert(1, "classes", [class_names(run, t, None) for t in range(len(frame))])
    sizes = numbers.overall_n(run)
    frame["distance_n"] = _distance_n(sizes)
    for key in COSTS:
        frame[key] = [cost.get(key) for cost in run.costs[: len(frame)]]
    return frame


def class_names(run: Run, task: int, at_most: int | None = LISTED_CLASSES) -> str:
    """The names of the classes of `task`, shortened to `at_most`; None lists all."""
    names = run.manifest.get("class_names", [])
    classes = run.manifest["tasks"][task]
    listed = [str(names[c]) if c < len(names) else str(c) for c in classes]
    if at_most is not None and len(listed) > at_most:
        return f"{', '.join(listed[: at_most - 1])}, … ({len(listed)} classes)"
    return ", ".join(listed)


def _accuracy(run: Run, definitions: Definitions, overall: pd.DataFrame) -> Table:
    matrix, of_task = numbers.per_task(run, MATRIX), definitions[MATRIX]
    ends = numbers.ends_on_task(run, MATRIX)
    columns = [
        *_leading(run),
        *(
            Column(str(i + 1), group=f"{of_task.heading} on task", flat=f"task {i + 1}")
            for i in range(matrix.shape[1])
        ),
        *(Column(definitions[name].heading, group=" ") for name in ACCURACY),
    ]
    rows = [
        _row(
            run,
            t,
            [
                *(_cell(v, 3, ends.get((t, i))) for i, v in enumerate(matrix.loc[t])),
                *(_number(overall, t, name) for name in ACCURACY),
            ],
        )
        for t in matrix.index
    ]
    sizes = captions.span(numbers.sizes(run, MATRIX, "task"))
    what = "" if run.stationary else f"{of_task.heading} on task 1, 2, …, then "
    caption = (
        f"After each task: {what}over all tasks seen. "
        f"class-IL: arg-max over all classes seen; task-IL: over the classes of the sample's own task. "
        f"n = {sizes or 0} test samples per task. {captions.ARROWS}{captions.intervals(overall)}"
        f"{_unfinished(run)}"
    )
    return Table("accuracy", "Accuracy by task", tuple(columns), tuple(rows), caption)


def _drift(run: Run, definitions: Definitions, overall: pd.DataFrame) -> Table:
    more = further(definitions, [overall])
    names = [*standard(DRIFT, overall.columns), *(more if len(more) <= MOST_FURTHER else ())]
    sizes = _distance_n(numbers.overall_n(run))
    measured = sizes.empty or sizes.notna().any()
    columns = [
        *_leading(run),
        *(Column(definitions[name].heading) for name in names),
        *([Column("n")] if measured else []),
        *(Column(heading) for heading in ("training s", "sampling s (NFE)", "memory MB", "stored MB")),
    ]
    rows = []
    for t, cost in zip(overall.index, run.costs, strict=False):
        stored = cost.get("stored_bytes")
        cells = [_beside_ideal(overall, t, name) for name in names]
        if measured:
            cells.append(_cell(sizes.loc[t], 0))
        cells.append(_cell(cost.get("seconds_training"), 1))
        cells.append(_sampling(cost))
        cells.append(_cell(cost.get("peak_memory_mb"), 0))
        cells.append(_cell(None if stored is None else stored / 1e6, 1))
        rows.append(_row(run, t, cells))
    about = captions.distances(overall.columns, extractors=definitions.extractors)
    scores = (
        f"Over all classes seen. {about + ' ' if about else ''}"
        f"{'n: samples on each side of a distance. ' if measured else ''}"
        f"real: the same score with real training data. {captions.ARROWS}"
        f"{captions.intervals(overall)}{_slope(definitions, overall)}"
    )
    caption = f"{scores if names else ''}{_costs(run)}{_unfinished(run)}".lstrip()
    title = "Drift of the replayed data" if names else "Cost"
    return Table("drift", title, tuple(columns), tuple(rows), caption)


def _distance_by_task(run: Run, definitions: Definitions, by_task: pd.DataFrame) -> Table:
    heading = definitions[OTDD].heading
    floors, ends = numbers.per_task(run, f"{OTDD}:floor"), numbers.ends_on_task(run, OTDD)
    columns = [
        *_leading(run),
        *(
            Column(str(i + 1), group=f"{heading} (floor) on task", flat=f"task {i + 1}")
            for i in range(run.num_tasks)
        ),
    ]
    rows = [
        _row(
            run,
            t,
            [
                _in_brackets(by_task.loc[t, i], floors.loc[t, i], ends.get((t, i)))
                for i in range(run.num_tasks)
            ],
        )
        for t in by_task.index
    ]
    about = captions.distances(
        [OTDD], captions.span(numbers.sizes(run, OTDD, "task")), definitions.extractors
    )
    caption = f"{heading} on the classes of each task, floor in brackets. {about}"
    caption += captions.intervals([f"{OTDD}:{ENDS[0]}"] if ends else [])
    return Table("otdd-by-task", f"{definitions[OTDD].title} by task", tuple(columns), tuple(rows), caption)


def _distance_by_class(run: Run, definitions: Definitions) -> Table:
    last = run.done - 1
    shown = [name for name in (OTDD, FD) if numbers.per_class(run, name, last)]
    values = {name: numbers.per_class(run, name, last) for name in shown}
    floors = {name: numbers.per_class(run, f"{name}:floor", last) for name in shown}
    names = run.manifest.get("class_names", [])
    columns = [
        Column("class", numeric=False),
        *(Column(f"{definitions[name].heading} (floor)") for name in shown),
    ]
    rows = []
    for c in dict.fromkeys(c for name in shown for c in values[name]):
        cells = [_in_brackets(values[name].get(c), floors[name].get(c)) for name in shown]
        title = str(names[c]) if c < len(names) else str(c)
        rows.append(Row((Cell(title), *cells)))
    n = captions.span(numbers.sizes(run, OTDD, "class", last))
    about = captions.distances(shown, n, definitions.extractors)
    caption = f"Each class after {run.word} {last + 1}, floor in brackets. {about}"
    title = f"{definitions[OTDD].title} by class, after {run.word} {last + 1}"
    return Table("otdd-by-class", title, tuple(columns), tuple(rows), caption)


def _further(run: Run, definitions: Definitions, overall: pd.DataFrame, names: list[str]) -> Table:
    columns = [
        Column("metric", numeric=False),
        *(Column(str(t + 1), group=f"after {run.word}", flat=f"{run.word} {t + 1}") for t in overall.index),
        Column("name", numeric=False),
    ]
    rows = []
    for name in names:
        cells = [_beside_ideal(overall, t, name) for t in overall.index]
        rows.append(Row((Cell(definitions[name].heading), *cells, Cell(name))))
    caption = (
        "Over all classes seen, after each task. floor, real: the same of other real data at the same n. "
        f"{captions.ARROWS}{captions.intervals(overall)}{_unfinished(run)}"
    )
    return Table("further", "Further metrics", tuple(columns), tuple(rows), caption)


def _leading(run: Run) -> list[Column]:
    return [Column(f"after {run.word}"), Column("classes", numeric=False)]


def _row(run: Run, t: int, cells: list[Cell]) -> Row:
    return Row((Cell(str(t + 1)), Cell(class_names(run, t)), *cells))


def _cell(value: float | None, places: int, ends: tuple[float, float] | None = None) -> Cell:
    """ "0.198 [0.190, 0.206]", or without an interval."""
    text = number(value, places)
    if text == NOTHING:
        return Cell(text)
    around: dict[str, float | None] = dict(zip(ENDS, ends, strict=True)) if ends else {}
    return Cell(with_interval(text, ends, places), raw={"value": value} | around)


def _number(overall: pd.DataFrame, t: int, name: str) -> Cell:
    value = numbers.at(overall, t, name)
    return _cell(value, decimals(name, value), numbers.ends(overall, t, name))


def _beside_ideal(overall: pd.DataFrame, t: int, name: str) -> Cell:
    """ "0.198 (floor 0.187)", "0.198 [0.190, 0.206] (floor 0.187)", "0.985 ± 0.004"."""
    cell = _number(overall, t, name)
    error = numbers.at(overall, t, f"{name}:{ERROR}")
    if error is not None:
        return Cell(f"{cell.text} ± {error:.1g}", raw=cell.raw | {ERROR: error})
    found = ideal(name, overall.columns)
    if cell.text == NOTHING or found is None:
        return cell
    perfect = numbers.at(overall, t, found[0])
    text = f"{cell.text} ({found[1]} {number(perfect, decimals(name, perfect))})"
    return Cell(text, raw=cell.raw | {found[1]: perfect})


def _sampling(cost: dict[str, Any]) -> Cell:
    """ "3.1 (14,400)": seconds and network evaluations."""
    cell, evaluations = _cell(cost.get("seconds_sampling"), 1), cost.get("network_evaluations")
    if evaluations is None:
        return cell
    return Cell(f"{cell.text} ({evaluations:,})", raw=cell.raw | {"network_evaluations": evaluations})


def _slope(definitions: Definitions, overall: pd.DataFrame) -> str:
    """The slope of OTDD over all finished tasks, as a sentence; "" where there is none."""
    last = len(overall) - 1
    value = numbers.at(overall, last, OTDD_SLOPE)
    if value is None:
        return ""
    floor = number(numbers.at(overall, last, f"{OTDD_SLOPE}:floor"))
    return f" {definitions[OTDD_SLOPE].title}, by least squares: {number(value)} a task (floor {floor})."


def _costs(run: Run) -> str:
    """How to read the costs."""
    kinds = {str(cost["peak_memory_of"]) for cost in run.costs if cost.get("peak_memory_of")}
    memory = f" Memory: peak of {' or '.join(sorted(kinds))}." if kinds else ""
    return (
        " Training: all of a task's learning, the drawing of replay included; sampling: that alone, and "
        f"NFE, its network evaluations, one per image and step.{memory}"
    )


def _in_brackets(value: float | None, floor: float | None, ends: tuple[float, float] | None = None) -> Cell:
    cell = _cell(value, 3, ends)
    if cell.text == NOTHING:
        return cell
    return Cell(f"{cell.text} ({number(floor)})", raw=cell.raw | {"floor": floor})


def _distance_n(sizes: pd.DataFrame) -> pd.Series[float]:
    """Samples on each side of the distances after each task; NaN without distances."""
    known = [name for name in (OTDD, FD) if name in sizes.columns]
    return sizes[known[0]].astype("float64") if known else pd.Series(float("nan"), index=sizes.index)


def _unfinished(run: Run) -> str:
    return "" if run.finished else f" Not finished: {progress(run)}."
