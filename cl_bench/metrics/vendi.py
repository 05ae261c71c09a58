"""Vendi score: how many different samples a set amounts to (D. Friedman, A. B. Dieng, "The Vendi Score", TMLR
2023, def. 3.1; of order q: A. P. Pasarkar, A. B. Dieng, "Cousins of the Vendi Score", AISTATS 2024).

The exponential of the entropy of the eigenvalues λ of K/n, with K the cosines between samples. They are the
squared singular values of the unit rows over √n, so neither K (n×n) nor its dual (d×d) is formed. That keeps
the digits of small λ, which orders q < 1 count in; those that are rounding only are dropped, as by rank.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cl_bench.metrics.pairwise import Array, as_features


def vendi(x: Array, q: float = 1) -> float:
    """Effective number of samples of x (n, d): 1 when all point the same way, n when all are orthogonal; at
    most min(n, d), or min(n, d + 1) with rows of zeros; higher is more diverse.

    q: order of the Rényi entropy, 0 < q ≤ ∞; small orders count rare samples in, ∞ is 1/λ_max. Rows of zeros,
    which have no direction, count as one direction of their own. Raises ValueError.
    """
    if not q > 0:
        raise ValueError(f"the order q must be above 0, got {q}")
    unit = _unit_rows(as_features(x, "x"))
    singular = torch.linalg.svdvals(unit)
    singular[singular <= max(unit.shape) * torch.finfo(unit.dtype).eps * singular.max()] = 0
    eigenvalues = singular.square() / singular.square().sum()
    if q == 1:
        entropy = -torch.special.xlogy(eigenvalues, eigenvalues).sum()
    elif math.isinf(q):
        entropy = -eigenvalues.max().log()
    else:
        entropy = (q * eigenvalues.log()).logsumexp(0) / (1 - q)
    return float(entropy.exp())


def _unit_rows(x: Tensor) -> Tensor:
    largest = x.abs().amax(1, keepdim=True)
    zero = largest == 0
    # Scaled first, or the squares of very large or small features leave float64.
    x = torch.cat([x / largest.masked_fill(zero, 1), zero.to(x.dtype)], dim=1)
    return x / x.norm(dim=1, keepdim=True)
