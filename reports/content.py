"""What a report holds, before anybody formats it: of one run, or of several compared."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cl_bench.finished_run import Run
from cl_bench.reports import captions, comparison, lines, numbers, per_task, sparklines
from cl_bench.reports.cells import Table
from cl_bench.reports.columns import ACC, CAS, FD, MATRIX, OTDD, headlines, ideal
from cl_bench.reports.course import WORDS
from cl_bench.reports.definitions import Definition, Definitions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cl_bench.reports.looks import Look
    from cl_bench.reports.ranks import Ranks


@dataclass(frozen=True)
class Drawing:
    """A figure, its file name without ending, and how to read it."""

    name: str
    figure: Figure
    caption: str


class Content(ABC):
    """heading: one line. facts: (heading, text) to read before the tables. runs: those asked for and those
    the tables rest on besides. sparklines: tables for terminals. wide: table.csv."""

    heading: str
    facts: Sequence[tuple[str, str]] = ()
    runs: list[Run]
    tables: list[Table]
    sparklines: Sequence[Table] = ()
    notes: list[str]
    wide: pd.DataFrame
    definitions: list[Definition]

    @abstractmethod
    def drawings(self) -> Iterator[Drawing]:
        """The figures, drawn when asked for."""

    @property
    def sections(self) -> list[Run]:
        """The runs that the page tells about one by one."""
        return self.runs

    @property
    def rows(self) -> pd.DataFrame:
        """The long rows of all runs, as in their metrics.jsonl."""
        return pd.concat([run.rows for run in self.runs], ignore_index=True)

    @property
    def definition_texts(self) -> list[str]:
        return [f"{d.heading}: {d.doc}" if d.doc else d.heading for d in self.definitions]


class Single(Content):
    """One run by task."""

    def __init__(self, run: Run) -> None:
        generator = run.manifest["config"].get("generator", "none")
        what = f"{run.strategy} on {run.benchmark}, generator {generator}, seed {run.seed}"
        self.heading = f"{what}: {lines.progress(run)}"
        self.runs = [run]
        self.tables, self.sparklines = per_task.tables(run), sparklines.of_run(run)
        self.notes = []
        if not run.finished:
            self.notes.append(f"{lines.progress(run)}; go on with: cl-bench resume {run.path}")
        self.wide = per_task.wide(run)
        self._known = Definitions([run])
        self.definitions = [self._known[name] for name in per_task.shown_metrics(run)]

    def drawings(self) -> Iterator[Drawing]:
        from cl_bench.reports import figures

        run = self.runs[0]
        figure = figures.accuracy_matrix(run, self._known[MATRIX])
        if figure is not None:
            caption = f"{self._known[MATRIX].heading} after each task (rows) on each task (columns)"
            caption += f", n = {captions.span(numbers.sizes(run, MATRIX, 'task'))} test samples per task."
            yield Drawing("accuracy_matrix", figure, caption)
        for name, file in ((OTDD, "drift_otdd"), (FD, "drift_fd")):
            figure = figures.drift(run, self._known[name])
            if figure is not None:
                n = captions.span(numbers.sizes(run, name, "all"))
                about = captions.distances([name], n, self._known.extractors)
                caption = f"{self._known[name].heading} over all classes seen. {about}"
                yield Drawing(file, figure, caption)


class Comparison(Content):
    """Several runs, line by line."""

    def __init__(self, runs: list[Run]) -> None:
        self.groups = lines.groups(runs)
        self.heading = f"Comparison of {len(runs)} runs: {_names({run.benchmark for run in runs})}"
        used = [run for group in self.groups for run in group.runs]
        self.runs = list({run.path.resolve(): run for run in (*runs, *used)}.values())
        several = len(self.groups) > 1
        self.tables, self.sparklines = comparison.tables(self.groups), sparklines.of_groups(self.groups)
        self.notes = []
        for group in self.groups:
            self.notes += [f"{group.title}: {note}" if several else note for note in group.notes]
        self.wide = comparison.wide(self.groups)
        self._known = Definitions(self.runs)
        self.definitions = [self._known[name] for name in comparison.shown_metrics(self.groups)]

    def drawings(self) -> Iterator[Drawing]:
        from cl_bench.reports.looks import looks
        from cl_bench.reports.rank_plot import rank_plot
        from cl_bench.reports.ranks import ranks

        look = looks(self.groups)
        found = ranks(self.groups)
        if found is not None:
            yield Drawing("ranks", rank_plot(found, look), self._about_ranks(found))
        for index, group in enumerate(self.groups, start=1):
            yield from self._of_group(group, f"_{index}" if len(self.groups) > 1 else "", look)

    def _of_group(
        self, group: lines.Group, number: str, look: Mapping[lines.Line, Look]
    ) -> Iterator[Drawing]:
        from cl_bench.reports import figures
        from cl_bench.reports.growth_curves import growth_curves

        for name in headlines(self._known, [numbers.overall(run) for run in group.runs]):
            file = f"curves_{_FILES.get(name) or file_name(name)}{number}"
            figure = figures.curves(group, self._known[name], look=look)
            if figure is not None:
                yield Drawing(file, figure, about_curves(group, name, self._known))
            yield from mapped(group, self._known, name, file)
        figure = growth_curves(group, look)
        if figure is not None:
            text = (
                f"What each task cost against the classes seen after it, {group.title}: mean over seeds, "
                f"n = {_seed_numbers(group)}. Time by the clock; network evaluations to draw replay, one per "
                "image and step. Dotted: growth in proportion to the classes."
            )
            yield Drawing(f"cost{number}", figure, text)

    def _about_ranks(self, found: Ranks) -> str:
        by = ", ".join(self._known[name].heading for name in found.metrics)
        units = len(next(iter(found.units.values())))
        return (
            f"Mean ranks after the last task, 1 is best, over {by}; bounds aside. Small dots: the rank of "
            f"one seed on one benchmark, averaged over metrics; n = {units} of these, on {found.benchmarks} "
            f"{'benchmark' if found.benchmarks == 1 else 'benchmarks'}; line: from the least to the "
            "greatest. Large: their mean."
        )


# What the figures of the standard metrics have always been called.
_FILES = {ACC: "acc", OTDD: "otdd", FD: "fd", CAS: "cas"}


def file_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "_", name)


def about_curves(group: lines.Group, name: str, known: Definitions) -> str:
    """The caption of a metric's curves: what they are, n, extractor and estimator."""
    n = captions.span(n for run in group.runs for n in numbers.sizes(run, name, "all"))
    measured = {str(m) for run in group.runs for m in numbers.overall(run).columns}
    found = ideal(name, measured)
    beside = f"; dotted grey: {WORDS[found[1]]}" if found else ""
    about = captions.distances([name], n, known.extractors) or (
        f"Each number rests on {n} samples." if n else ""
    )
    return (
        f"{known[name].heading} after each {group.word}, over all classes seen, {group.title}. Line: mean "
        f"over seeds; band: ± sample standard deviation{beside}; n = {_seed_numbers(group)}. {about}"
    ).rstrip()


def mapped(group: lines.Group, known: Definitions, name: str, file: str) -> Iterator[Drawing]:
    """The metric by mix and task, where runs differ in their mix."""
    from cl_bench.reports.heat_map import heat_map

    figure = heat_map(group, known[name])
    if figure is not None:
        n = captions.span(n for run in group.runs for n in numbers.sizes(run, name, "all"))
        about = captions.distances([name], n, known.extractors) or (
            f"Each number rests on {n} samples." if n else ""
        )
        text = (
            f"{known[name].heading} by how much synthetic data is in the mix, {group.title}; mean over "
            f"seeds, n = {_seed_numbers(group)}. {about}"
        )
        yield Drawing(f"{file}_map", figure, text.rstrip())


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _seed_numbers(group: lines.Group) -> str:
    """ "2 seeds", or "1 to 3 seeds"."""
    counts = sorted({len(line.runs) for line in group.lines if line.runs})
    if not counts:
        return "no seeds"
    text = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{text} seed" if counts == [1] else f"{text} seeds"
