"""A labelled set as dataset distances read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics import gaussian
from cl_bench.metrics.pairwise import as_features


@dataclass(frozen=True)
class Labelled:
    """x (n, d) float64; index (n,) of each row's label among `labels`, which ascend."""

    x: Tensor
    index: Tensor
    labels: np.ndarray

    @cached_property
    def parts(self) -> list[Tensor]:
        """The rows of each label."""
        return [self.x[self.index == k] for k in range(len(self.labels))]

    @cached_property
    def gaussians(self) -> list[gaussian.GaussianFit]:
        """The Gaussian of each label; a label with one row has covariance 0."""
        return [gaussian.fit(part.cpu().numpy()) for part in self.parts]

    def to(self, device: torch.device) -> Labelled:
        if self.x.device == device:
            return self
        return Labelled(self.x.to(device), self.index.to(device), self.labels)


def labelled(x: np.ndarray | Tensor, y: np.ndarray | Tensor) -> Labelled:
    """x (n, d) finite, n ≥ 1, and y (n,) of any labels, on the device of x. Raises ValueError."""
    if len(x) == 0:
        raise ValueError("expected labelled samples, got an empty set")
    x = as_features(x, "samples")
    labels, index = np.unique(y.cpu().numpy() if isinstance(y, Tensor) else y, return_inverse=True)
    if index.shape != (len(x),):
        raise ValueError(f"expected one label a sample, got labels {index.shape} for {len(x)} samples")
    return Labelled(x, torch.from_numpy(index).to(x.device), labels)
