"""Maximum mean discrepancy, squared and unbiased, between real and fake features, with two kernels.

MMD² = mean of k(x, x′) over pairs of real samples + mean of k(y, y′) over pairs of fake ones − 2 mean k(x, y)
(A. Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, eq. 3). A pair is of two different rows, so its
expectation is 0 for two sets of one law: values below zero are valid and stay as they are.

- KID: k = (x·y/d + 1)³ (M. Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, §4); it compares the first
  three moments. It is named for Inception features, as FID is: with others, name them beside it.
- MMD with the RBF kernel k = exp(−‖x − y‖²/(2 σ²)); it is 0 for equal laws only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics.pairwise import Array, Points, as_features, as_pair, blocks, squared_distances

Rows = TypeVar("Rows", Tensor, Points)

# More rows than this make too many pairs to take the median of at once.
_MEDIAN_ROWS = 5000


@dataclass(frozen=True)
class KID:
    """Mean and standard deviation of MMD² over subsets; lower is better, below zero is as good as zero.

    The deviation is that of a single subset (divided by their number, as in torch-fidelity): subsets overlap,
    so it is not √subsets times the error of the mean.
    """

    mean: float
    std: float


def kid(real: Array, fake: Array, subsets: int = 100, subset_size: int = 1000, seed: int = 2020) -> KID:
    """KID over random subsets of real (n, d) and fake (m, d), n, m ≥ subset_size ≥ 2.

    Subsets are torch-fidelity's (input1 real, input2 fake), row by row, for the same seed. Raises ValueError;
    of fewer samples take `kid_full`.
    """
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"need subsets ≥ 1 of size ≥ 2, got {subsets} of {subset_size}")
    real, fake = as_pair(real, fake)
    if min(len(real), len(fake)) < subset_size:
        raise ValueError(
            f"{len(real)} real and {len(fake)} fake samples are too few for subsets of {subset_size}; "
            "choose a smaller subset_size, or kid_full"
        )
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        chosen = (torch.from_numpy(random.choice(len(x), subset_size, replace=False)) for x in (real, fake))
        x, y = (rows[i.to(rows.device)] for rows, i in zip((real, fake), chosen, strict=True))
        values.append(kid_full(x, y))
    return KID(float(np.mean(values)), float(np.std(values)))


def kid_full(real: Array, fake: Array) -> float:
    """MMD² with KID's kernel over all of real (n, d) and fake (m, d), n, m ≥ 2; lower is better, may be
    negative. Raises ValueError."""
    real, fake = as_pair(real, fake, at_least=(2, 2))

    def cubic(x: Tensor, y: Tensor) -> Tensor:
        k = (x @ y.T).div_(x.shape[1]).add_(1)
        return k * k * k

    return _mmd2(real, fake, cubic)


def median_bandwidth(real: Array) -> float:
    """Median squared distance over pairs of rows of real (n, d), n ≥ 2, > 0; in squared feature units.

    Of more than 5,000 rows, 5,000 evenly spaced ones are taken. Raises ValueError, also when at least half of
    the pairs are at distance zero.
    """
    x = as_features(real, "real", at_least=2)
    if len(x) > _MEDIAN_ROWS:
        x = x[torch.arange(_MEDIAN_ROWS, device=x.device) * len(x) // _MEDIAN_ROWS]
    points = Points.about(x, x.mean(0))
    pairs = []
    for rows in blocks(len(x), len(x)):
        squared, slack = squared_distances(points[rows], points)
        squared[squared <= slack] = 0
        above = torch.ones_like(squared, dtype=torch.bool).triu_(rows.start + 1)
        pairs.append(squared[above].cpu().numpy())
    median = float(np.median(np.concatenate(pairs)))
    if median == 0:
        raise ValueError("half of the real samples' distances are 0: no median bandwidth; give one")
    return median


def mmd_rbf(real: Array, fake: Array, bandwidth: float | None = None) -> float:
    """MMD² with the RBF kernel over real (n, d) and fake (m, d), n, m ≥ 2: at most 2, lower is better, may be
    slightly negative.

    bandwidth: σ² of exp(−‖x − y‖²/(2 σ²)), > 0, in squared feature units; `median_bandwidth(real)` unless
    given, never one of the fake set, so that values of several fake sets compare. Raises ValueError.
    """
    real, fake = as_pair(real, fake, at_least=(2, 2))
    width = median_bandwidth(real) if bandwidth is None else bandwidth
    if not (width > 0 and math.isfinite(width)):
        raise ValueError(f"bandwidth must be a positive number, got {width}")
    centre = real.mean(0)

    def gaussian(x: Points, y: Points) -> Tensor:
        squared, _ = squared_distances(x, y)
        return squared.div_(-2 * width).exp_()

    return _mmd2(Points.about(real, centre), Points.about(fake, centre), gaussian)


def _mmd2(x: Rows, y: Rows, kernel: Callable[[Rows, Rows], Tensor]) -> float:
    """The unbiased estimate, block by block."""
    n, m = len(x), len(y)
    value = (
        _sum(kernel, x, x, diagonal=False) / (n * (n - 1))
        + _sum(kernel, y, y, diagonal=False) / (m * (m - 1))
        - 2 * _sum(kernel, x, y) / (n * m)
    )
    if not math.isfinite(value):
        raise ValueError("features are too large: the kernel overflows")
    return value


def _sum(kernel: Callable[[Rows, Rows], Tensor], x: Rows, y: Rows, diagonal: bool = True) -> float:
    total = 0.0
    for rows in blocks(len(x), len(y)):
        k = kernel(x[rows], y)
        if not diagonal:
            k.diagonal(offset=rows.start).zero_()
        total += float(k.sum())
    return total
