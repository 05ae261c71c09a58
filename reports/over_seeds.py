"""The numbers of a line over its seeds, and which line of a column is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cl_bench.reports import numbers, significance
from cl_bench.reports.lines import Group, Line


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


def values(line: Line, metric: str, t: int) -> list[float]:
    """`metric` over all seen classes after task `t`, of each seed of `line` that has it."""
    found = [numbers.of(run, metric, t) for run in line.runs]
    return [value for value in found if value is not None and math.isfinite(value)]


def after(line: Line, metric: str, t: int) -> Statistic | None:
    """Mean and deviation of `values`."""
    return statistic(values(line, metric, t))


def mean_over_runs(group: Group, name: str, t: int) -> float | None:
    """Metric `name` after task `t`, the mean over all runs of `group`; None where none has it."""
    found = statistic(numbers.of(run, name, t) for run in group.runs)
    return found.mean if found else None


@dataclass(frozen=True)
class Best:
    """The best mean of a column, None where nothing competes or no way is better. clear: whether it differs
    from every other by a test. tested: whether there were seeds enough for one."""

    mean: float | None = None
    clear: bool = False
    tested: bool = False


def best(lines: Sequence[Line], name: str, t: int, higher_is_better: bool | None) -> Best:
    """The best of `lines` that are not bounds in metric `name` after task `t`."""
    samples = [found for line in lines if not line.role and (found := values(line, name, t))]
    if higher_is_better is None or len(samples) < 2:
        return Best()
    means = [math.fsum(found) / len(found) for found in samples]
    chosen = max(means) if higher_is_better else min(means)
    tested = min(map(len, samples)) >= significance.LEAST_SEEDS
    clear = means.count(chosen) == 1 and significance.stands_out(means.index(chosen), samples)
    return Best(chosen, clear, tested)
