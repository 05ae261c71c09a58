"""Pairs of feature vectors, in float64 and block by block: what neighbour and kernel metrics are made of.

Squared distances come from a matrix product, ‖a‖² + ‖b‖² − 2 a·b. That is fast, but identical rows come out
at rounding error from zero instead of at zero, and equal distances differ in their last digits. Two guards:
- rows are centred on the mean of the real set first, so that an offset of all features costs no digits;
- each block comes with its slack, a bound on the rounding of distances: what differs by less is a tie, and
  callers decide comparisons on that side. Rows closer than about 10⁻⁶ of their norms thus count as identical.

Inputs are NumPy arrays or tensors; the work is done on the device of the real set, on the CPU for NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray | Tensor

# Entries of a block of pairs: 16 MiB in float64, of which a metric holds a handful at a time.
_BLOCK = 2**21


def as_features(x: Array, name: str, at_least: int = 1) -> Tensor:
    """x as finite float64 (n, d), n ≥ `at_least`, d ≥ 1, on its own device. Raises ValueError."""
    if not isinstance(x, Tensor):
        # A copy: tensors can share neither read-only arrays nor reversed ones.
        x = torch.from_numpy(np.array(x, dtype=np.float64, order="C"))
    features = x.detach().to(torch.float64)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"{name}: expected features as (n, d), got shape {tuple(features.shape)}")
    if len(features) < at_least:
        raise ValueError(f"{name}: {len(features)} samples, need at least {at_least}")
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"{name}: features hold NaN or infinity")
    return features


def as_pair(
    real: Array, fake: Array, at_least: tuple[int, int] = (1, 1), names: tuple[str, str] = ("real", "fake")
) -> tuple[Tensor, Tensor]:
    """Two sets of as many features each, on the device of the first. Raises ValueError."""
    first = as_features(real, names[0], at_least[0])
    second = as_features(fake, names[1], at_least[1]).to(first.device)
    same_dimensions(first, second)
    return first, second


def same_dimensions(a: Tensor, b: Tensor) -> None:
    """Raises ValueError unless the two sets have as many dimensions."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"the sets have {a.shape[1]} and {b.shape[1]} dimensions")


@dataclass(frozen=True)
class Points:
    """Rows x (n, d) and their squared norms (n,)."""

    x: Tensor
    squared_norms: Tensor

    @classmethod
    def about(cls, x: Tensor, centre: Tensor) -> Points:
        """Rows relative to `centre`. Raises ValueError when their squares overflow."""
        x = x - centre
        squared_norms = x.square().sum(1)
        if not bool(torch.isfinite(squared_norms).all()):
            raise ValueError("features are too large: their squares overflow")
        return cls(x, squared_norms)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice) -> Points:
        return Points(self.x[rows], self.squared_norms[rows])


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of `rows` such that each, times all `columns`, is one block."""
    step = max(1, _BLOCK // max(columns, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def squared_distances(a: Points, b: Points) -> tuple[Tensor, Tensor]:
    """Squared distances (len(a), len(b)) and their slack, likewise: two that differ by less are a tie."""
    sums = a.squared_norms[:, None] + b.squared_norms
    squared = torch.addmm(sums, a.x, b.x.T, alpha=-2)
    # A sum of d products is off by at most d·ε/2 of their absolute sum (Higham 2002, §3.1): squared norms and
    # product together by (d + 4)·ε of `sums`, centring included. A radius that it is compared with has its
    # error too, from a pair of rows no farther apart; eight times covers both.
    return squared, sums.mul_(8 * (a.x.shape[1] + 4) * torch.finfo(sums.dtype).eps)


def nearest_squared(points: Points, k: int) -> Tensor:
    """Squared distances of each point to its k nearest others, (n, k) ascending; itself is left out by its
    row number, so a duplicate elsewhere is a neighbour at distance zero. Needs n > k."""
    n = len(points)
    nearest = points.x.new_full((n, k), torch.inf)
    for rows in blocks(n, n):
        # Each pair is looked at once, by both of its points: half the work.
        squared, _ = squared_distances(points[rows], points[rows.start :])
        squared.diagonal().fill_(torch.inf)
        nearest[rows] = _smallest(nearest[rows], squared)
        later = slice(rows.stop, n)
        nearest[later] = _smallest(nearest[later], squared[:, rows.stop - rows.start :].T)
    return nearest


def _smallest(found: Tensor, candidates: Tensor) -> Tensor:
    """The smallest of each row, as many as were found before."""
    k = found.shape[1]
    new = candidates.topk(min(k, candidates.shape[1]), largest=False).values
    return torch.cat([found, new], dim=1).topk(k, largest=False).values
