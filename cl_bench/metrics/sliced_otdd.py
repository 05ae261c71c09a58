"""Sliced optimal transport dataset distance (K. Nguyen, H. Nguyen, T. Pham, N. Ho, "Lightspeed Geometric
Dataset Distance via Sliced Optimal Transport", 2025, arXiv 2501.18901).

Each projection turns a labelled sample into one number: with θ uniform on the sphere of the features, ψ on
that of M + 1 dimensions, and exponents k_j drawn from the Poisson law of rate j given that it is not 0,

    ψ₀ ⟨θ, x⟩ + Σ_{j=1..M} ψ_j · mean over the x″ of x's label of ⟨θ, x″⟩^{k_j} / k_j!

so that a label is its law's moments along θ. The distance is the mean over projections of the 1-D W₂² of
these numbers: n log n for each, and nothing that grows with the square of the labels.

Deviations. The paper takes moments of features as they are, which explode where |⟨θ, x⟩| is far above 1. Here
both sets are first standardised together, z = (x − c) √d / s, with c the mean of their two means and s² the
mean of their two mean squared distances from c, so that ⟨θ, z⟩ is of size 1; in the end the mean over
projections is multiplied by s²/d. Hence translating both sets changes nothing, scaling both by t multiplies
the value by t², and values of different pairs are in the same squared feature units. It is left squared,
without the paper's root.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics.labelled import labelled
from cl_bench.metrics.pairwise import same_dimensions
from cl_bench.metrics.wasserstein import (
    blocks,
    squared_w2_columns,
    unit_vectors,
)


def sliced_otdd(
    x_a: np.ndarray | Tensor,
    y_a: np.ndarray | Tensor,
    x_b: np.ndarray | Tensor,
    y_b: np.ndarray | Tensor,
    *,
    projections: int = 1000,
    moments: int = 5,
    seed: int = 0,
) -> float:
    """Distance of two labelled sets, x (n, d) finite, y (n,) any labels; sizes and labels may differ.

    In squared feature units, ≥ 0, 0 for equal sets, lower is closer; not on OTDD's scale. moments: M. One
    seed draws the same projections anywhere; runs on the device of x_a. Raises ValueError for empty,
    non-finite or mismatched sets, and when projections or moments is below 1.
    """
    if projections < 1 or moments < 1:
        raise ValueError(f"projections and moments must be at least 1, got {projections} and {moments}")
    a, b = labelled(x_a, y_a), labelled(x_b, y_b)
    b = b.to(a.x.device)
    same_dimensions(a.x, b.x)
    centre = (a.x.mean(0) + b.x.mean(0)) / 2
    d = a.x.shape[1]
    size = ((a.x - centre).square().sum(1).mean() + (b.x - centre).square().sum(1).mean()) / (2 * d)
    if not size > 0:
        return 0.0  # Every sample of both sets is the same point, so every label is too.

    rng = np.random.default_rng(seed)
    theta = unit_vectors(rng, projections, d).to(a.x)
    psi = unit_vectors(rng, projections, moments + 1).to(a.x)
    exponents = _exponents(rng, projections, moments).to(a.x.device)
    total = torch.zeros_like(size)
    done = 0
    for part in blocks(theta, len(a.x) + len(b.x)):
        now = slice(done, done := done + len(part))
        numbers = (
            _numbers(((side.x - centre) / size.sqrt()) @ part.T, side.index, psi[now], exponents[now])
            for side in (a, b)
        )
        total += squared_w2_columns(*numbers).sum()
    return float(size * total / projections)


def _numbers(z: Tensor, index: Tensor, psi: Tensor, exponents: Tensor) -> Tensor:
    """Each sample's number under each projection, (n, L): z (n, L), psi (L, M + 1), exponents (L, M)."""
    labels = int(index.max()) + 1
    counts = torch.bincount(index, minlength=labels)[:, None]
    by_label = z.new_zeros(labels, len(psi))
    power = torch.ones_like(z)
    for k in range(1, int(exponents.max()) + 1):
        power = power * z / k  # z^k / k!
        weight = (psi[:, 1:] * (exponents == k)).sum(1)
        by_label += weight * z.new_zeros(by_label.shape).index_add_(0, index, power) / counts
    return psi[:, 0] * z + by_label[index]


def _exponents(rng: np.random.Generator, projections: int, moments: int) -> Tensor:
    """Draws (projections, M) of the Poisson laws of rate 1 … M given that they are not 0.

    The first arrival of a Poisson process, given one before time j, is at −log(1 − U (1 − e⁻ʲ)); how many
    follow is Poisson of the time that is left.
    """
    rates = np.arange(1, moments + 1, dtype=np.float64)
    first = -np.log1p(rng.random((projections, moments)) * np.expm1(-rates))
    return torch.from_numpy(1 + rng.poisson(rates - first))
