"""Distances between Gaussians fitted to samples, exact when there are fewer samples than dimensions.

‖m₁−m₂‖² + tr S₁ + tr S₂ − 2 tr(S₁^½ S₂ S₁^½)^½  (Dowson and Landau 1982; the squared 2-Wasserstein
distance of Gaussians, Givens and Shortt 1984; FID's formula, Heusel et al. 2017, eq. 6).

With centred factors A = (X − m)/√(n−1), S = AᵀA, the last trace is the nuclear norm ‖A Bᵀ‖_*. No covariance
is formed and no matrix root taken, so rank-deficient sets are exact instead of NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GaussianFit:
    """Mean (d,) and a factor A (r, d) with AᵀA the unbiased covariance, r ≤ min(n, d)."""

    mean: np.ndarray
    factor: np.ndarray

    @property
    def total_variance(self) -> float:
        return float(np.square(self.factor).sum())


def fit(x: np.ndarray) -> GaussianFit:
    """Fit a Gaussian to x, (n, d) finite with n ≥ 1; one sample has covariance zero. Raises ValueError."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"expected samples as (n, d) with n ≥ 1, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("samples hold NaN or infinity")
    mean = x.mean(0)
    factor = (x - mean) / np.sqrt(max(len(x) - 1, 1))
    if len(x) > x.shape[1]:
        factor = np.linalg.qr(factor, mode="r")
    return GaussianFit(mean, factor)


def squared_distance(a: GaussianFit, b: GaussianFit) -> float:
    """Squared 2-Wasserstein distance of two Gaussians, ≥ 0."""
    nuclear = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum()
    value = np.square(a.mean - b.mean).sum() + a.total_variance + b.total_variance - 2 * nuclear
    # Rounding may leave a distance of zero slightly negative.
    return max(float(value), 0.0)


def distance_matrix(a: Sequence[GaussianFit], b: Sequence[GaussianFit]) -> np.ndarray:
    """`squared_distance` of each of `a` to each of `b`, (len(a), len(b))."""
    return np.array([[squared_distance(p, q) for q in b] for p in a]).reshape(len(a), len(b))


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Fréchet distance of two sets of features, (n, d) and (m, d); in squared feature units, lower is better.

    It is FID only when the features are Inception-v3's pool3 (Heusel et al. 2017).
    """
    return squared_distance(fit(x), fit(y))
