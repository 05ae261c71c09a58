"""Features of labelled samples, as evaluators read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cl_bench.extractor import Extractor
from cl_bench.samples import Samples


@dataclass(frozen=True)
class Features:
    """Features of labelled samples: x (n, d) float64, y (n,) int64."""

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def by(cls, extractor: Extractor, samples: Samples) -> Features:
        """Of `samples`, by an extractor that is fitted."""
        return cls(extractor.features(samples.x).double().numpy(), samples.y.numpy())

    def __len__(self) -> int:
        return len(self.y)

    def of(self, classes: tuple[int, ...]) -> Features:
        keep = np.isin(self.y, classes)
        return Features(self.x[keep], self.y[keep])
