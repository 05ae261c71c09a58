"""Strategies by benchmarks: a table per headline metric, where runs span several benchmarks.

A row is a strategy with those options that tell its lines apart on some benchmark. Options that go with the
benchmark, as the size of a network, do not tell rows apart; the caption names those that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from cl_bench.reports import captions, numbers
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table
from cl_bench.reports.columns import headlines, ideal
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import LOWER, UPPER, Group, Line, differing, options_text
from cl_bench.reports.over_seeds import after, best
from cl_bench.reports.seed_cell import seed_cell


def across(groups: Sequence[Group]) -> list[Table]:
    """A table for each headline metric that two benchmarks or more have."""
    groups = [group for group in groups if group.runs]
    runs = [run for group in groups for run in group.runs]
    definitions, named = Definitions(runs), by_name(groups)
    found: list[Table] = []
    for name in headlines(definitions, [numbers.overall(run) for run in runs]):
        have = [i for i, group in enumerate(groups) if _measured(group, name)]
        if len(have) > 1:
            label = f"across-{len(found) + 1}"
            found.append(
                _table([groups[i] for i in have], [named[i] for i in have], name, label, definitions)
            )
    return found


def by_name(groups: Sequence[Group]) -> list[dict[str, Line]]:
    """Of each of `groups`, its lines with runs by a name that means the same in all of them."""
    telling: dict[str, set[str]] = {}
    for group in groups:
        lines = [line for line in group.lines if line.runs]
        for line in lines:
            alike = [other for other in lines if other.strategy == line.strategy]
            telling.setdefault(line.strategy, set()).update(differing(alike, "strategy_options"))

    def name(line: Line) -> str:
        chosen = line.config.get("strategy_options", {})
        options = {key: value for key, value in chosen.items() if key in telling[line.strategy]}
        return line.label or " ".join([line.strategy, *options_text(options)])

    # A name that two lines of a group share gets the generator; one that they share still, all that tells
    # them apart: options of the generator, versions of code.
    longer: list[Callable[[Line], str]] = [
        lambda line: f"{name(line)}, {line.config.get('generator')}",
        lambda line: f"{line.name}, {line.generator}",
    ]
    found = [[(name(line), line) for line in group.lines if line.runs] for group in groups]
    for way in longer:
        shared = {text for lines in found for text, n in Counter(t for t, _ in lines).items() if n > 1}
        found = [[(way(line) if text in shared else text, line) for text, line in lines] for lines in found]
    return [dict(lines) for lines in found]


def _measured(group: Group, name: str) -> bool:
    return any(name in numbers.overall(run).columns for run in group.runs)


def _table(
    groups: Sequence[Group],
    named: Sequence[dict[str, Line]],
    name: str,
    label: str,
    definitions: Definitions,
) -> Table:
    definition = definitions[name]
    names = {row: line for lines in named for row, line in lines.items()}
    ordered = sorted(names, key=lambda row: (names[row].role != LOWER, names[row].role == UPPER, row))
    bests = [
        best(tuple(lines.values()), name, group.num_tasks - 1, definition.higher_is_better)
        for group, lines in zip(groups, named, strict=True)
    ]
    measured = {str(m) for group in groups for run in group.runs for m in numbers.overall(run).columns}
    beside = ideal(name, measured)
    rows = []
    for row in ordered:
        role = names[row].role
        cells = [Cell(f"{row} ({role})" if role else row)]
        for group, lines, top in zip(groups, named, bests, strict=True):
            line, last = lines.get(row), group.num_tasks - 1
            if line is None:
                cells.append(Cell(NOTHING))
                continue
            perfect = after(line, beside[0], last) if beside else None
            cells.append(seed_cell(after(line, name, last), line, name, last, top, beside, perfect))
        rows.append(Row(tuple(cells), muted=bool(role)))
    columns = [Column("strategy", numeric=False), *(Column(group.title) for group in groups)]
    n = captions.span(n for group in groups for run in group.runs for n in numbers.sizes(run, name, "all"))
    about = captions.distances([name], n, definitions.extractors)
    caption = (
        f"{definition.heading} after the last task, over all classes. {captions.SEEDS} {_seeds(named)} Best "
        f"strategy of each benchmark bold, bounds aside. {captions.significance(bests)}"
        f"{f'In brackets: {beside[1]}. ' if beside else ''}{about + ' ' if about else ''}"
        f"{_differences(named)}"
    )
    return Table(
        label, f"{definition.title} by strategy and benchmark", tuple(columns), tuple(rows), caption.strip()
    )


def _seeds(named: Sequence[dict[str, Line]]) -> str:
    counts = captions.span(len(line.runs) for lines in named for line in lines.values())
    return f"n = {counts} {'seed' if counts == '1' else 'seeds'}."


def _differences(named: Sequence[dict[str, Line]]) -> str:
    """The options that a row does not have alike on all benchmarks."""
    found: set[str] = set()
    for row in dict.fromkeys(row for lines in named for row in lines):
        same = [lines[row] for lines in named if row in lines]
        if len({line.config.get("generator") for line in same}) > 1:
            found.add("generator")
        else:
            found |= {f"generator.{key}" for key in differing(same, "generator_options")}
        found |= differing(same, "strategy_options")
    return f"Not alike on all benchmarks: {', '.join(sorted(found))}." if found else ""
