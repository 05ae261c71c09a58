"""Principal components of real data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_bench import register_extractor
from cl_bench.errors import UserError
from cl_bench.extractor import Extractor
from cl_bench.parametrised import Parametrised
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.samples import scaled
from cl_bench.state import State

BATCH = 4096


@register_extractor("pca")
class PCA(Extractor, Parametrised):
    """The first K principal components of the real training data, as pca:64; no component is whitened."""

    takes = "K"
    costly = True
    kept = False

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        if not argument.isdecimal() or int(argument) < 1:
            raise UserError(f"extractor pca:{argument}: the number of components must be 1 or more")
        made = super().parametrised(str(int(argument)))
        made.title = f"{int(argument)} principal components"
        return made

    def learn(self, real: RealSets, progress: Progress) -> None:
        components = int(self.argument)
        x = real.train.x
        size = x[:1].numel()
        if components > min(size, len(x) - 1):
            raise UserError(
                f"extractor pca:{components}: {len(x)} training samples of {size} values have at most "
                f"{min(size, len(x) - 1)} components"
            )
        # Moments, not a singular value decomposition of everything: memory is that of one batch.
        centre = self._flat(x[:BATCH]).mean(0)
        total, products = torch.zeros_like(centre), torch.zeros(size, size, dtype=torch.float64)
        for part in x.split(BATCH):
            rows = self._flat(part) - centre
            total += rows.sum(0)
            products += rows.T @ rows
        shift = total / len(x)
        _, axes = torch.linalg.eigh(products / len(x) - torch.outer(shift, shift))
        self.centre = (centre + shift).float()
        # In the layout that it is loaded in: a product's rounding depends on it.
        self.axes = axes[:, -components:].flip(1).float().contiguous()

    def _flat(self, x: Tensor) -> Tensor:
        return scaled(x).flatten(1).double()

    def raw(self, x: Tensor) -> Tensor:
        return torch.cat([(scaled(part).flatten(1) - self.centre) @ self.axes for part in x.split(BATCH)])

    def learned(self) -> State:
        return {"centre": self.centre, "axes": self.axes}

    def load_learned(self, state: State) -> None:
        self.centre, self.axes = state["centre"], state["axes"]
