"""Confidence intervals of what evaluators measure (`--ci`): how far off for want of samples, at this n.

- Whatever is computed from sets of features or probabilities: 50 subsamples, half of each class of each set
  without replacement, and a normal law (see metrics/interval.py for why not the bootstrap).
- Shares of rows that are hits, accuracy among them, and their means: the percentile bootstrap.

They tell of sampling alone: networks, generators and extractors are taken as they are, and what another seed
would give is not in them. Only numbers over all seen classes or over one task have them, and no floor has.
Where one is undefined, as with a single sample of some class, it is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from cl_bench.features import Features
from cl_bench.metrics.interval import shares_interval, subsample_intervals
from cl_bench.rows import Ends

LEVEL, SUBSAMPLES, SEED = 0.95, 50, 0


class Intervals:
    """The ends of intervals at 95 %, the same whenever computed of the same. asked: whether for any."""

    def __init__(self, asked: bool) -> None:
        self.asked = asked

    def of_sets(
        self, measure: Callable[..., Mapping[str, float]], found: Mapping[str, float], *sets: Features
    ) -> dict[str, Ends]:
        """By name, of what `measure(*sets)` found, by subsampling: as long as it takes 50 times on halves."""
        if not self.asked:
            return {}

        def measured(*arrays: np.ndarray) -> Mapping[str, float]:
            return measure(*map(Features, arrays[::2], arrays[1::2], (part.device for part in sets)))

        samples, strata = [(part.x, part.y) for part in sets], [part.y for part in sets]
        try:
            intervals = subsample_intervals(measured, samples, found, LEVEL, SUBSAMPLES, SEED, strata)
        except ValueError:  # too few rows, of a class or for the metric
            return {}
        return {name: (interval.low, interval.high) for name, interval in intervals.items()}

    def of_shares(self, *hits: np.ndarray) -> Ends | None:
        """Of the mean over sets of the share of rows that are hits, (n,) of bools for each set."""
        if not self.asked or not all(map(len, hits)):
            return None
        interval = shares_interval([int(h.sum()) for h in hits], [len(h) for h in hits], LEVEL, seed=SEED)
        return interval.low, interval.high
