"""Are the tails still there? Recursive training loses them first ("early model collapse", Shumailov et al.
2023, arXiv 2305.17493).

Numbers have two tails, beyond the real 1 % and 99 % quantiles; of words or labels, the rare are the tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tails:
    """Synthetic mass beyond real quantiles over real mass beyond them, per feature, each (d,), ≥ 0.

    1 is kept, 0 is gone, more than 1 is too heavy (not clamped). NaN where no real value lies beyond the
    quantile, as in features whose lowest value is common.
    """

    left: np.ndarray
    right: np.ndarray
    both: np.ndarray

    @property
    def mean(self) -> float:
        """`both`, averaged over the features that have tails. ValueError when none has."""
        if np.isnan(self.both).all():
            raise ValueError("no feature has tails: no real value lies beyond its quantiles")
        return float(np.nanmean(self.both))


def tail_mass(real: np.ndarray, synthetic: np.ndarray, share: float = 0.01) -> Tails:
    """Tails of `synthetic` (m,) or (m, d) beyond quantiles `share` and 1 − `share` of `real` (n,) or (n, d).

    A second real set of continuous values has 1 on average: `share` is rounded down to j/n, and beyond
    Weibull's quantile lie j real values and, on average, j/n of the law that they come from. Its standard
    deviation is about √(1/j + 1/(m · share)) for each tail, so small sets make noisy figures. ValueError for
    sets that are empty or not finite, or n · share < 1.
    """
    if not 0 < share < 0.5:
        raise ValueError(f"a tail's share lies between 0 and ½, got {share}")
    x, z = _columns(real), _columns(synthetic)
    if x.shape[1] != z.shape[1]:
        raise ValueError(f"real and synthetic features differ in width: {x.shape[1]} and {z.shape[1]}")
    n = len(x)
    # Or 1/49 · 49 would be 0.
    j = int(n * share + 1e-9)
    if j < 1:
        raise ValueError(f"tails of {share:g} need {np.ceil(1 / share):.0f} real values, got {n}")
    low, high = np.quantile(x, [j / n, 1 - j / n], axis=0, method="weibull")
    left, right = ((z < low).mean(0), (x < low).mean(0)), ((z > high).mean(0), (x > high).mean(0))
    both = (left[0] + right[0], left[1] + right[1])
    return Tails(*(_ratio(*tail) for tail in (left, right, both)))


@dataclass(frozen=True)
class Categories:
    """What became of the real set's categories.

    covered_mass: share of real rows whose category has a synthetic row, 0…1, higher is better. lost_mass: the
    rest. kept: share of real categories with a synthetic row, 0…1, higher is better. lost: those without one.
    """

    covered_mass: float
    lost_mass: float
    kept: float
    lost: np.ndarray


def category_coverage(real: np.ndarray, synthetic: np.ndarray) -> Categories:
    """Categories of `real`, (n,) labels or tokens, that `synthetic`, (m,), still has.

    m draws from the real shares p cover Σ p_i (1 − (1−p_i)^m) on average: not all, even with no model in
    between. ValueError for empty sets.
    """
    real, synthetic = np.asarray(real), np.asarray(synthetic)
    if real.ndim != 1 or synthetic.ndim != 1 or len(real) == 0 or len(synthetic) == 0:
        raise ValueError(f"expected labels (n,) and (m,), not empty, got {real.shape} and {synthetic.shape}")
    names, counts = np.unique(real, return_counts=True)
    there = np.isin(names, synthetic)
    return Categories(
        covered_mass=float(counts[there].sum() / len(real)),
        lost_mass=float(counts[~there].sum() / len(real)),
        kept=float(there.mean()),
        lost=names[~there],
    )


def _columns(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim not in (1, 2) or x.size == 0:
        raise ValueError(f"expected values (n,) or (n, d), not empty, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("values hold NaN or infinity")
    return x.reshape(len(x), -1)


def _ratio(synthetic: np.ndarray, real: np.ndarray) -> np.ndarray:
    return np.divide(synthetic, real, out=np.full(len(real), np.nan), where=real > 0)
