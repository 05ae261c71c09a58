"""Accumulate: real data and the synthetic data of every past generation are all kept.

Paper: M. Gerstgrasser et al. 2024, "Is Model Collapse Inevitable? Breaking the Curse of Recursion by
Accumulating Real and Synthetic Data", arXiv 2404.01413. Mix: real 1, lambda 1 per past generation,
accumulated. With `window` only the newest synthetic sets are kept (a moving window beside the real data, or
without them with real=0); with `subsample` the training set stays as large as the real one, drawn at random
from all that has accumulated (J. Kazdan et al. 2024, "Collapse or Thrive?", arXiv 2410.16713).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Interval

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixOptions, MixStrategy


@dataclass(frozen=True)
class AccumulateOptions(MixOptions):
    real: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """share of an old class's real samples that is kept"""
    window: Annotated[int, Gt(0)] | None = None
    """keep the synthetic sets of so many generations only, the newest; none for all"""
    subsample: bool = False
    """train on as many of what has accumulated as there were real samples, drawn anew each time"""


@register_strategy("accumulate")
class Accumulate(MixStrategy):
    """Keep real data and every generation's samples (real 1, lambda 1 per past generation)."""

    paper = "Gerstgrasser et al. 2024, arXiv 2404.01413; Kazdan et al. 2024, arXiv 2410.16713"
    stores = "real data, and one replay set of every generation (`window`: of the newest)"
    cost = "drawing one replay set a task; sets to train on grow with the generations unless `subsample`"
    limits = "storage grows with every generation unless `window` is given"
    Options = AccumulateOptions

    def mix(self) -> Mix:
        options = self.options
        return Mix(
            options.real,
            lambda_=1,
            accumulate=True,
            window=options.window,
            subsample=options.subsample,
            growth=options.growth,
        )
