"""Features of labelled samples, as evaluators read them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cl_bench.extractor import Extractor
from cl_bench.samples import Samples

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Features:
    """Features of labelled samples: x (n, d) float64, y (n,) int64. device: where metrics compute."""

    x: np.ndarray
    y: np.ndarray
    device: torch.device = CPU

    @classmethod
    def by(cls, extractor: Extractor, samples: Samples) -> Features:
        """Of `samples`, by an extractor that is fitted."""
        return cls(extractor.features(samples.x).double().numpy(), samples.y.numpy(), extractor.device)

    @cached_property
    def on_device(self) -> np.ndarray | Tensor:
        """x for the functions of `metrics`, which compute where it lies: x itself, or a tensor elsewhere than
        on the CPU."""
        return self.x if self.device.type == "cpu" else torch.from_numpy(self.x).to(self.device)

    def __len__(self) -> int:
        return len(self.y)

    def of(self, classes: tuple[int, ...]) -> Features:
        keep = np.isin(self.y, classes)
        return Features(self.x[keep], self.y[keep], self.device)
