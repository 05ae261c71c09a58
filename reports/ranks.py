"""Mean ranks: how strategies stand over several metrics, benchmarks and seeds at once.

In every block, a metric of one seed on one benchmark after the last task, the strategies are ranked from 1,
the best; equals share the mean of their places. Metrics of one run say much the same (accuracy and
forgetting, OTDD and FD), so they are no independent blocks: a critical difference after Friedman and Nemenyi
(J. Demšar, JMLR 7 (2006) 1–30) over all blocks would claim far more evidence than there is. What is
independent is a run: the ranks of a seed on a benchmark are first averaged over metrics, and mean and spread
are over these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cl_bench.finished_run import Run
from cl_bench.reports import numbers
from cl_bench.reports.across import by_name
from cl_bench.reports.columns import ACC, CAS, FD, OTDD, further
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.over_seeds import Statistic, statistic

LEAST = 3  # competitors
RANKED = (ACC, "forgetting_class_il", OTDD, FD, CAS)


@dataclass(frozen=True)
class Ranks:
    """units: strategy to its rank, averaged over metrics, in each seed on each benchmark. metrics: those
    ranked by. benchmarks: how many. lines: of each strategy, that on the first benchmark."""

    units: dict[str, list[float]]
    metrics: tuple[str, ...]
    benchmarks: int
    lines: dict[str, Line]

    @property
    def over(self) -> dict[str, Statistic]:
        """Mean and deviation of the units."""
        found = {name: statistic(values) for name, values in self.units.items()}
        return {name: s for name, s in found.items() if s is not None}

    @property
    def names(self) -> list[str]:
        """The strategies, best mean rank first."""
        over = self.over
        return sorted(over, key=lambda name: (over[name].mean, name))


def ranks(groups: Sequence[Group]) -> Ranks | None:
    """The ranks of the strategies that all of `groups` have, bounds aside. None for fewer than three, or
    where they share no seed with a number of each."""
    groups = [group for group in groups if group.runs]
    named = [{name: line for name, line in lines.items() if not line.role} for lines in by_name(groups)]
    names = [name for name in named[0] if all(name in lines for lines in named)] if named else []
    if len(names) < LEAST:
        return None
    definitions = Definitions(run for group in groups for run in group.runs)
    metrics = _metrics(definitions, groups)
    units: dict[str, list[float]] = {name: [] for name in names}
    used: dict[str, None] = {}
    for group, lines in zip(groups, named, strict=True):
        for runs in _by_seed([lines[name] for name in names]):
            blocks = []
            for metric in metrics:
                values = [numbers.of(run, metric, group.num_tasks - 1) for run in runs]
                known = [value for value in values if value is not None and math.isfinite(value)]
                if len(known) == len(names):
                    blocks.append(places(known, bool(definitions[metric].higher_is_better)))
                    used[metric] = None
            if blocks:
                for name, of_one in zip(names, zip(*blocks, strict=True), strict=True):
                    units[name].append(math.fsum(of_one) / len(blocks))
    if not units[names[0]]:
        return None
    ordered = tuple(metric for metric in metrics if metric in used)
    return Ranks(units, ordered, len(groups), {name: named[0][name] for name in names})


def places(values: Sequence[float], higher_is_better: bool) -> list[float]:
    """The place of each value, 1 for the best; equal ones share the mean of the places they take."""
    signed = [-value if higher_is_better else value for value in values]
    return [1 + sum(other < value for other in signed) + (signed.count(value) - 1) / 2 for value in signed]


def _metrics(definitions: Definitions, groups: Sequence[Group]) -> list[str]:
    frames = [numbers.overall(run) for group in groups for run in group.runs]
    measured = {str(name) for frame in frames for name in frame.columns}
    found = [name for name in RANKED if name in measured and definitions[name].higher_is_better is not None]
    return found or [n for n in further(definitions, frames) if definitions[n].higher_is_better is not None]


def _by_seed(lines: Sequence[Line]) -> list[list[Run]]:
    """The runs of every line by seed, for the seeds that all lines have."""
    runs = [{run.seed: run for run in line.runs} for line in lines]
    shared = set.intersection(*map(set, runs))
    return [[of_line[seed] for of_line in runs] for seed in sorted(shared)]
