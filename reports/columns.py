"""Which metrics the tables show, and in which order. Metrics not named here come after these."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cl_bench.reports.cells import digits
from cl_bench.reports.definitions import SLOPE, Definitions
from cl_bench.rows import ENDS

MATRIX = "accuracy_class_il"
OTDD, FD, CAS, DEPTH = "otdd:classifier", "fd:classifier", "cas", "generation_depth"
OTDD_SLOPE = f"{OTDD}{SLOPE}"

ACC = "average_accuracy_class_il"

ACCURACY = (
    "average_accuracy_class_il",
    "average_accuracy_task_il",
    "average_incremental_accuracy_class_il",
    "backward_transfer_class_il",
    "forgetting_class_il",
    "forward_transfer_task_il",
)
DRIFT = (OTDD, FD, CAS, DEPTH)
FINAL = (
    "average_accuracy_class_il",
    "average_incremental_accuracy_class_il",
    "backward_transfer_class_il",
    "forgetting_class_il",
    OTDD,
    OTDD_SLOPE,
    *DRIFT[1:],
)

# What a comparison follows from task to task, draws, and sets side by side over benchmarks.
HEADLINE = (ACC, OTDD, FD, CAS)
MOST_HEADLINES = 4

# Decimals of the standard columns; the scale of other metrics is not known beforehand.
_DECIMALS = dict.fromkeys((MATRIX, *ACCURACY, *DRIFT, OTDD_SLOPE), 3) | {DEPTH: 2}

# In table.csv, not in the tables for people: the class-IL figure is the one that counts, and CAS has its real
# data beside it.
_UNSHOWN = {
    "cas_ratio",
    "average_incremental_accuracy_task_il",
    "backward_transfer_task_il",
    "forgetting_task_il",
}

# More further metrics than these would make a table too wide: they get one of their own, a row each.
MOST_FURTHER = 3

# A metric "m:floor" or "m:real" is what a perfect generator would score; it stands beside "m".
IDEALS = ("floor", "real")

# A metric "m:se" is the standard error of "m", a mean over replicas.
ERROR = "se"


def standard(names: Iterable[str], measured: Iterable[str]) -> list[str]:
    """Those of the standard columns that were measured; all while nothing is."""
    known = set(measured)
    return [name for name in names if not known or name in known]


def decimals(metric: str, value: float | None) -> int:
    """Decimals with which to show `value` of `metric`."""
    return _DECIMALS[metric] if metric in _DECIMALS else digits(value or 0.0)


def ideal(metric: str, measured: Iterable[str]) -> tuple[str, str] | None:
    """(metric, word) of the ideal beside `metric`: ("cas:real", "real"); None when not among `measured`."""
    known = set(measured)
    return next(((f"{metric}:{word}", word) for word in IDEALS if f"{metric}:{word}" in known), None)


def further(definitions: Definitions, frames: Iterable[pd.DataFrame]) -> list[str]:
    """Metrics over all seen classes that these `overall` frames have and no standard column shows."""
    measured = {str(name) for frame in frames for name in frame.columns}
    beside = {f"{name}:{word}" for name in measured for word in (*IDEALS, *ENDS, ERROR)}
    return definitions.order(measured - beside - {*ACCURACY, *DRIFT, OTDD_SLOPE, *_UNSHOWN})


def headlines(definitions: Definitions, frames: Iterable[pd.DataFrame]) -> list[str]:
    """What to follow in runs with these `overall` frames: the standard metrics that they measured; in runs
    that measured none of these, as of known laws, the first further ones that have a good direction."""
    frames = list(frames)
    measured = {str(name) for frame in frames for name in frame.columns}
    found = [name for name in HEADLINE if name in measured]
    directed = (n for n in further(definitions, frames) if definitions[n].higher_is_better is not None)
    return found or list(directed)[:MOST_HEADLINES]
