"""How far could a metric be off? Confidence intervals by resampling rows.

`percentile` and `bca` are the bootstrap (Efron 1979; Efron 1987), by SciPy: rows drawn with replacement. Fine
for means, shares and other smooth functions of the rows. **Not for distances between sets**: rows drawn twice
are duplicates that no second data set would have. Fréchet distance and OTDD come out too large, metrics of
nearest neighbours (precision, recall, density, coverage, AuthPct) and Vendi wrong, and the interval need not
even hold the estimate.

`subsample` is for those: half of the rows drawn without replacement, so that nothing is doubled (the delete-d
jackknife, Wu 1990; subsampling, Politis and Romano 1994). Deviations from the subsamples' mean are multiplied
by √(f/(1−f)), f the share drawn, which is 1 for halves: as they are drawn from a finite set without
replacement, means of subsamples have (1−f)/f times the variance of the mean itself. The subsamples' own mean
is the middle because a biased metric has another mean at f·n rows than at n. So the interval is about what
the metric is on average *at this n*, like the floor beside it, and not about its limit for endless data.

Measured: Fréchet distance, 8 dimensions, 60 and 150 rows a side, nominal 95 %, 120 trials: subsampling covers
94 to 98 %, the percentile bootstrap about 50 %. At the floor, where the distance falls as 1/n, subsampling
is too wide (100 %; the bootstrap 1 %), and its lower end may be below 0, which is not clamped.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Sample = np.ndarray | tuple[np.ndarray, ...]
Method = Literal["percentile", "bca", "subsample"]


@dataclass(frozen=True)
class Interval:
    """estimate: the statistic of the samples themselves; low ≤ high: the ends, in the statistic's units.

    spread: standard deviation of the resampled statistic (rescaled for `subsample`), its standard error.
    """

    estimate: float
    low: float
    high: float
    spread: float


def bootstrap_interval(
    statistic: Callable[..., float],
    samples: Sequence[Sample],
    level: float = 0.95,
    resamples: int = 999,
    seed: int = 0,
    method: Method = "percentile",
    strata: Sequence[np.ndarray] | None = None,
    share: float = 0.5,
) -> Interval:
    """Two-sided interval of `statistic(*arrays)` at `level`.

    samples: independent samples, each an array (n, …) or a tuple of arrays with paired rows, such as (x, y),
    which stay together; the statistic gets all arrays in order. strata: labels (n,) for each sample; rows are
    resampled within each label, so that every class keeps its size and none is lost. method: see the module;
    `bca` takes as many more evaluations as there are rows. share: the part of the rows in a subsample.

    The same seed gives the same interval. If resampling never moves the statistic, low = estimate = high.
    ValueError for samples or strata of fewer than two rows, and where the statistic is NaN or infinite.
    """
    if not 0 < level < 1 or not 0 < share < 1 or resamples < 1:
        raise ValueError(
            f"level and share lie between 0 and 1, resamples ≥ 1; got {level}, {share}, {resamples}"
        )
    if method not in ("percentile", "bca", "subsample"):
        raise ValueError(f"unknown method {method!r}; known: percentile, bca, subsample")
    groups = [tuple(np.asarray(a) for a in (s if isinstance(s, tuple) else (s,))) for s in samples]
    pieces, owner = _pieces(groups, strata)

    def of_rows(*rows: np.ndarray) -> float:
        """The statistic of these rows; rows[i] belong to sample owner[i]."""
        arrays = []
        for i, group in enumerate(groups):
            chosen = np.concatenate([part for part, sample in zip(rows, owner, strict=True) if sample == i])
            arrays += [array[chosen] for array in group]
        value = float(statistic(*arrays))
        if not np.isfinite(value):
            raise ValueError(f"the statistic is {value} on a sample or resample")
        return value

    estimate = of_rows(*pieces)
    if method == "subsample":
        return _subsample(of_rows, pieces, estimate, level, resamples, seed, share)
    return _bootstrap(of_rows, pieces, estimate, level, resamples, seed, method)


def _pieces(
    groups: list[tuple[np.ndarray, ...]], strata: Sequence[np.ndarray] | None
) -> tuple[list[np.ndarray], list[int]]:
    """Row numbers that are resampled on their own, and which sample each of these pieces belongs to."""
    if strata is not None and len(strata) != len(groups):
        raise ValueError(f"expected strata for each of {len(groups)} samples, got {len(strata)}")
    pieces, owner = [], []
    for i, group in enumerate(groups):
        labels = np.zeros(len(group[0])) if strata is None else np.asarray(strata[i])
        if any(len(array) != len(labels) for array in group):
            raise ValueError(f"the arrays of sample {i} and its strata differ in length")
        found = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if min(map(len, found), default=0) < 2:
            raise ValueError(f"sample {i} has fewer than two rows, or a stratum of it has")
        pieces += found
        owner += [i] * len(found)
    return pieces, owner


def _bootstrap(
    of_rows: Callable[..., float],
    pieces: list[np.ndarray],
    estimate: float,
    level: float,
    resamples: int,
    seed: int,
    method: Method,
) -> Interval:
    from scipy import stats

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        # Of a statistic that does not move; answered below.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        result = stats.bootstrap(
            pieces,
            of_rows,
            n_resamples=resamples,
            # Row numbers of all resamples at once could fill the memory.
            batch=max(1, 2**20 // sum(map(len, pieces))),
            vectorized=False,
            confidence_level=level,
            method={"percentile": "percentile", "bca": "BCa"}[method],
            rng=np.random.default_rng(seed),
        )
    values = result.bootstrap_distribution
    if np.ptp(values) == 0 and values[0] == estimate:
        return Interval(estimate, estimate, estimate, 0.0)
    low, high = map(float, result.confidence_interval)
    if not np.isfinite([low, high]).all():
        raise ValueError("BCa has no interval here: every resample lies on one side of the estimate")
    return Interval(estimate, low, high, float(result.standard_error))


def _subsample(
    of_rows: Callable[..., float],
    pieces: list[np.ndarray],
    estimate: float,
    level: float,
    resamples: int,
    seed: int,
    share: float,
) -> Interval:
    rng = np.random.default_rng(seed)
    sizes = [min(max(round(share * len(piece)), 1), len(piece) - 1) for piece in pieces]
    values = np.array(
        [
            of_rows(*(rng.permutation(piece)[:size] for piece, size in zip(pieces, sizes, strict=True)))
            for _ in range(resamples)
        ]
    )
    taken = sum(sizes) / sum(map(len, pieces))
    deviations = (values - values.mean()) * np.sqrt(taken / (1 - taken))
    # Reflected, as deviations of the estimate from what it estimates: too high an estimate lies above.
    above, below = np.quantile(deviations, [(1 + level) / 2, (1 - level) / 2])
    spread = float(np.std(deviations, ddof=1)) if resamples > 1 else 0.0
    return Interval(estimate, float(estimate - above), float(estimate - below), spread)
