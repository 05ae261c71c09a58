"""What the report of a recipe holds: the claims with their verdicts, the numbers behind them, the runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import count

import pandas as pd

from cl_bench.finished_run import Run
from cl_bench.reports import captions, numbers
from cl_bench.reports.cells import NOTHING, Cell, Column, Row, Table
from cl_bench.reports.columns import ideal
from cl_bench.reports.content import Content, Drawing, mapped
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import Group, Line, extractor_notes
from cl_bench.reproduction import Attempt, Reproduction
from cl_bench.verdicts import LEAST_REPLICAS, LEAST_SEEDS, Judged

RULES = (
    "Verdicts follow from the numbers per seed: one-sided t-tests at 5 %, "
    f"with {LEAST_SEEDS} seeds or more, else undecided; rule every: each seed's number as it is; rule z: "
    f"equality within so many standard errors, over {LEAST_REPLICAS} seeds or more or with the error in the "
    "rows."
)


class ClaimsContent(Content):
    """A recipe that was run, claim by claim."""

    def __init__(self, reproduction: Reproduction) -> None:
        self.reproduction = reproduction
        recipe, scale = reproduction.recipe, reproduction.scale
        self.heading = f"{recipe.name} at scale {reproduction.scale_name}: {recipe.paper.citation}"
        told = [
            ("paper", f"{recipe.paper.title}. {recipe.paper.citation}"),
            ("experiment", recipe.figure),
            ("protocol", recipe.protocol),
            ("deviations", recipe.deviations),
            ("scale", f"{reproduction.scale_name}, {_seeds(reproduction.seeds)}"),
        ]
        self.facts = [(name, " ".join(text.split())) for name, text in told if text]
        self.runs = reproduction.runs
        self.tables = [_claims(reproduction), _per_seed(reproduction), _runs(reproduction)]
        self.notes = [" ".join(scale.says.split())] if scale.says else []
        self.notes += extractor_notes(self.runs)
        for attempt in reproduction.failed:
            self.notes.append(f"Failed: {attempt.label}, seed {attempt.seed}: {attempt.problem}")
        self.wide = pd.DataFrame([judged.as_dict() for judged in reproduction.judged])
        self._known = Definitions(self.runs)
        named = [metric for claim in recipe.claims for metric in claim.metrics]
        self.definitions = [self._known[name] for name in dict.fromkeys([*recipe.drawn, *named])]

    @property
    def sections(self) -> list[Run]:
        """None: every run has a page of its own, which this one links."""
        return []

    def drawings(self) -> Iterator[Drawing]:
        groups, full = _groups(self.reproduction)
        for name in self.reproduction.recipe.drawn:
            for group in groups:
                theory = self.reproduction.theory(name)
                known = {
                    short: theory[label] for short, label in full[group.title].items() if label in theory
                }
                yield from self._curves(group, name, known, len(groups) > 1)
        for group in groups:
            yield from _samples(group)

    def _curves(
        self, group: Group, name: str, theory: dict[str, list[float]], several: bool
    ) -> Iterator[Drawing]:
        """A metric after each task on one benchmark, and by mix; several: whether there are others."""
        from cl_bench.reports import figures

        figure = figures.curves(group, self._known[name], theory)
        if figure is None:
            return
        n = captions.span(n for run in group.runs for n in numbers.sizes(run, name, "all"))
        measured = {str(m) for run in group.runs for m in numbers.overall(run).columns}
        beside = "; dotted: what real data scores" if ideal(name, measured) else ""
        beside += "; black dots: closed form" if theory else ""
        about = captions.distances([name], extractors=self._known.extractors)
        caption = (
            f"{self._known[name].heading} after each {group.word}, over all classes seen"
            f"{f', {group.title}' if several else ''}. Line: mean over seeds; "
            f"band: ± sample standard deviation{beside}; n = {n}. {about}"
        )
        file = _file(f"{name}_{group.title}" if several else name)
        yield Drawing(file, figure, caption.rstrip())
        yield from mapped(group, self._known, name, file)


def _samples(group: Group) -> Iterator[Drawing]:
    """What some generations made, of one run for each label."""
    from cl_bench.reports.perplexity_histograms import perplexity_histograms
    from cl_bench.reports.snapshots import snapshots

    runs = [(line.label, line.runs[0]) for line in group.lines]
    which = f"{group.title}, seed {runs[0][1].seed}"
    figure = snapshots(runs)
    if figure is not None:
        text = f"Real data, and samples after some generations, {which}."
        yield Drawing(_file(f"snapshots_{group.title}"), figure, text)
    figure = perplexity_histograms(runs)
    if figure is not None:
        text = f"Perplexity of each document under the model of generation 1, {which}; grey: real test text."
        yield Drawing("perplexity_histograms", figure, text)


def _file(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "_", name)


def _groups(reproduction: Reproduction) -> tuple[list[Group], dict[str, dict[str, str]]]:
    """The runs on each benchmark as lines of a figure; by its name, the recipe's labels of its lines."""
    found: dict[str, dict[str, tuple[Run, ...]]] = {}
    for label in dict.fromkeys(attempt.label for attempt in reproduction.attempts):
        runs = tuple(reproduction.of(label))
        if runs:
            found.setdefault(runs[0].benchmark, {})[label] = runs
    groups, full = [], {}
    for benchmark, by_label in found.items():
        short = apart([*by_label])
        lines = [
            Line(runs[0].strategy, runs, label=label)
            for label, runs in zip(short, by_label.values(), strict=True)
        ]
        tasks = max(run.num_tasks for runs in by_label.values() for run in runs)
        groups.append(Group(benchmark, tasks, tuple(lines), ()))
        full[benchmark] = dict(zip(short, by_label, strict=True))
    return groups, full


def apart(labels: list[str]) -> list[str]:
    """Labels without those parts, between commas, that all of them have: what a figure's caption says."""
    parts = [label.split(", ") for label in labels]
    shared = set.intersection(*map(set, parts))
    short = [", ".join(part for part in one if part not in shared) for one in parts]
    return short if all(short) and len({*short}) == len(labels) else labels


def _claims(reproduction: Reproduction) -> Table:
    columns = (
        Column("#"),
        Column("claim", numeric=False, prose=True),
        Column("expected", numeric=False, prose=True),
        Column("measured", numeric=False, prose=True),
        Column("verdict", numeric=False),
    )
    rows = [
        Row(
            (
                Cell(str(number)),
                Cell(judged.claim.text),
                Cell(_expected(judged)),
                Cell(f"{judged.measured} ({_beside(judged)})"),
                Cell(judged.verdict, strong=judged.verdict == "supported"),
            ),
            muted=judged.verdict == "no data",
        )
        for number, judged in zip(count(1), reproduction.judged, strict=False)
    ]
    caption = f"Mean ± sample standard deviation over seeds. {RULES}"
    return Table("claims", "Claims", columns, tuple(rows), caption)


def _per_seed(reproduction: Reproduction) -> Table:
    """The numbers behind the verdicts, and the computation."""
    seeds = range(reproduction.seeds)
    columns = (
        Column("#"),
        Column("quantity", numeric=False, prose=True),
        *(Column(str(seed), group="seed", flat=f"seed {seed}") for seed in seeds),
        Column("why", numeric=False, prose=True),
        Column("in the paper", numeric=False, prose=True),
    )
    rows = []
    for number, judged in enumerate(reproduction.judged, start=1):
        claim = judged.claim
        several = len(judged.values) > 1
        for i, (label, found) in enumerate(judged.values.items() or [("", {})]):
            values = [Cell(f"{found[seed]:.5g}" if seed in found else NOTHING) for seed in seeds]
            quantity = claim.quantity.text() + (f", {label}" if several else "")
            last = (Cell(judged.reason), Cell(claim.where)) if i == 0 else (Cell(""), Cell(""))
            rows.append(Row((Cell(str(number)), Cell(quantity), *values, *last)))
    return Table(
        "seeds", "Numbers per seed", columns, tuple(rows), "One number per seed; none where undefined."
    )


def _runs(reproduction: Reproduction) -> Table:
    names = ("label", "seed", "strategy", "benchmark", "generator", "run", "state")
    columns = tuple(Column(name, numeric=name == "seed") for name in names)
    rows = tuple(_run(reproduction, attempt) for attempt in reproduction.attempts)
    done, all_ = len(reproduction.runs), len(reproduction.attempts)
    caption = (
        f"{done} of {all_} runs finished. Each id links the run's own page, with its options and command."
    )
    return Table("runs", "Runs", columns, rows, caption)


def _run(reproduction: Reproduction, attempt: Attempt) -> Row:
    run = attempt.run
    if run is None:
        blank = [Cell(NOTHING)] * 4
        cells = (Cell(attempt.label), Cell(str(attempt.seed)), *blank, Cell(f"failed: {attempt.problem}"))
        return Row(cells, muted=True)
    page = os.path.relpath((run.directory.report / "index.html").resolve(), reproduction.folder.resolve())
    generator = str(run.manifest["config"].get("generator", NOTHING))
    texts = (attempt.label, str(attempt.seed), run.strategy, run.benchmark, generator)
    return Row((*map(Cell, texts), Cell(run.id, link=page.replace(os.sep, "/")), Cell("finished")))


def _expected(judged: Judged) -> str:
    """The quantity and what it should be; an order names its labels itself."""
    return f"{judged.claim.quantity.text()}: {judged.expected}"


def _beside(judged: Judged) -> str:
    """How far from an exact value, in standard errors, where that is the rule, and how many seeds."""
    z = f"{judged.reason.partition(',')[0]}; " if judged.reason.startswith("z = ") else ""
    return f"{z}{_seeds(judged.seeds)}"


def _seeds(number: int) -> str:
    return f"{number} {'seed' if number == 1 else 'seeds'}"
