"""Squared 2-Wasserstein distances: between point sets, exact and sliced, and from samples to a normal law.

All are W₂², in squared units of the samples, ≥ 0, 0 for equal laws; lower is closer. Every sample of a set
has the same weight, and sets may differ in size. Samples that are empty, misshapen or not finite raise
ValueError.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics import gaussian
from cl_bench.metrics.pairwise import as_features, as_pair

# Rows, columns and mass of a plan's positive entries; dual potentials of rows and columns.
Plan = tuple[Tensor, Tensor, Tensor]
Potentials = tuple[np.ndarray, np.ndarray]

# Values sorted at a time, so that memory does not grow with the number of directions.
_BLOCK = 1 << 24


def squared_w2(x: np.ndarray | Tensor, y: np.ndarray | Tensor) -> float:
    """W₂² between two point sets (n, d) and (m, d), exact: sorted in 1-D, else the network simplex of POT.

    The simplex is cubic in the worst case and holds n × m costs: meant for some thousands of points. It runs
    on the CPU wherever the points are.
    """
    x, y = as_pair(x, y, names=("first set", "second set"))
    if x.shape[1] == 1:
        return float(squared_w2_columns(x, y)[0])
    rows, columns, mass = exact_plan(squared_distances(x, y))
    return float(mass @ (x.cpu()[rows] - y.cpu()[columns]).square().sum(1))


def sliced_squared_w2(
    x: np.ndarray | Tensor, y: np.ndarray | Tensor, *, projections: int = 1000, seed: int = 0
) -> float:
    """Mean of the 1-D W₂² over `projections` random directions (Rabin et al. 2012; Bonneel et al. 2015).

    d times this is the scale of W₂²: a translation by c costs ‖c‖²/d in expectation. Never above W₂². Costs
    n log n for each direction; runs on the device of `x`. The same seed draws the same directions anywhere.
    """
    x, y = as_pair(x, y, names=("first set", "second set"))
    if projections < 1:
        raise ValueError(f"projections must be at least 1, got {projections}")
    directions = unit_vectors(np.random.default_rng(seed), projections, x.shape[1]).to(x.device)
    total = sum(
        float(squared_w2_columns(x @ part.T, y @ part.T).sum())
        for part in blocks(directions, len(x) + len(y))
    )
    return total / projections


def squared_w2_to_normal(x: np.ndarray | Tensor, mean: float, std: float) -> float:
    """W₂² of 1-D samples (n,) or (n, 1) to N(mean, std²), exact, std ≥ 0.

    The integral over u in (0, 1) of (F⁻¹(u) − μ − σ Φ⁻¹(u))², with F⁻¹ = x₍ᵢ₎ on ((i−1)/n, i/n], is
    mean (x − μ)² − 2σ Σᵢ (x₍ᵢ₎ − μ)(φ(zᵢ₋₁) − φ(zᵢ)) + σ², with zᵢ = Φ⁻¹(i/n) and φ the normal density.
    """
    flat = as_features(x if x.ndim == 2 else x[:, None], "samples")
    if flat.shape[1] != 1:
        raise ValueError(f"expected 1-D samples, got {flat.shape[1]} dimensions")
    if not (math.isfinite(mean) and math.isfinite(std) and std >= 0):
        raise ValueError(f"expected a finite mean and std ≥ 0, got {mean} and {std}")
    deviation = flat[:, 0].sort().values - mean
    n = len(deviation)
    levels = torch.arange(n + 1, dtype=torch.float64, device=flat.device) / n
    # Φ⁻¹ is ∓ infinity at the ends, where the density is 0.
    density = torch.exp(-torch.special.ndtri(levels).square() / 2) / math.sqrt(2 * math.pi)
    cross = deviation @ (density[:-1] - density[1:])
    value = deviation.square().mean() - 2 * std * cross + std**2
    # Rounding may leave a distance of zero slightly negative.
    return max(float(value), 0.0)


def fitted_squared_w2_to_normal(x: np.ndarray | Tensor, mean: np.ndarray, covariance: np.ndarray) -> float:
    """W₂² of the Gaussian fitted to x (n, d) to N(mean, covariance), (d,) and (d, d) positive semi-definite.

    Sees means and covariances only, so it is never above the W₂² of the samples' own law, but for the
    covariance's n − 1 (Gelbrich 1990). Its error falls with n as 1/n, whatever d. See metrics/gaussian.py.
    """
    mean, covariance = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    fit = gaussian.fit(as_features(x, "samples").cpu().numpy())
    d = len(fit.mean)
    if mean.shape != (d,) or covariance.shape != (d, d):
        raise ValueError(
            f"expected mean ({d},) and covariance ({d}, {d}), got {mean.shape}, {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean or covariance hold NaN or infinity")
    variances, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    if variances[0] < -1e-9 * max(abs(variances[-1]), abs(variances[0])):
        raise ValueError(f"covariance is not positive semi-definite: eigenvalue {variances[0]:.3g}")
    factor = np.sqrt(np.maximum(variances, 0))[:, None] * axes.T
    return gaussian.squared_distance(fit, gaussian.GaussianFit(mean, factor))


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """‖x − y‖², (n, m), from products of centred points, so that a large common offset costs no digits."""
    centre = (x.mean(0) + y.mean(0)) / 2
    x, y = x - centre, y - centre
    products = torch.addmm(y.square().sum(1), x, y.T, alpha=-2)
    return products.add_(x.square().sum(1)[:, None]).clamp_(min=0)


def squared_w2_columns(x: Tensor, y: Tensor) -> Tensor:
    """W₂² of the 1-D laws in each column, (n, L) and (m, L) to (L,): both quantile functions are steps."""
    n, m = len(x), len(y)
    x, y = x.sort(0).values, y.sort(0).values
    if n == m:
        return (x - y).square().mean(0)
    # In steps of 1 / nm the functions jump at multiples of m and of n; integers keep that exact.
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths = torch.from_numpy(np.diff(ends, prepend=0) / (n * m)).to(x.device)
    i, j = (torch.from_numpy((ends - 1) // size).to(x.device) for size in (m, n))
    return widths @ (x[i] - y[j]).square()


def unit_vectors(rng: np.random.Generator, count: int, d: int) -> Tensor:
    """Uniform on the sphere, (count, d), float64."""
    drawn = rng.normal(size=(count, d))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def blocks(directions: Tensor, rows: int) -> Iterator[Tensor]:
    """`directions` in parts small enough to project so many rows on."""
    yield from directions.split(max(1, _BLOCK // rows))


def exact_plan(cost: Tensor, start: Potentials | None = None) -> Plan:
    """An optimal plan of uniform measures at `cost` (n, m): rows, columns, mass of its positive entries.

    start: dual potentials (n,) and (m,) near the optimal ones, which save steps and change nothing else. On
    the CPU (POT's network simplex). Raises ArithmeticError if the solver does not reach the optimum.
    """
    return solved(cost.cpu().numpy(), start)[0]


def solved(cost: np.ndarray, start: Potentials | None = None) -> tuple[Plan, Potentials]:
    """As `exact_plan`, with its dual potentials."""
    plan, log = _import_ot().emd([], [], cost, numItermax=10_000_000, log=True, potentials_init=start)
    if log["warning"] is not None:
        raise ArithmeticError(f"exact transport was not solved: {log['warning']}")
    i, j = plan.nonzero()
    return (torch.from_numpy(i), torch.from_numpy(j), torch.from_numpy(plan[i, j])), (log["u"], log["v"])


def _import_ot() -> Any:
    """POT imports every array library it finds unless told not to; JAX alone costs ten seconds."""
    backends = ("JAX", "TENSORFLOW", "CUPY")
    unset = [key for name in backends if (key := f"POT_BACKEND_DISABLE_{name}") not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        import ot
    finally:
        for key in unset:
            del os.environ[key]
    return ot
