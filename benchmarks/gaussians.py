"""Gaussian data: the loops whose every moment theory gives.

`gaussian1d` is N(0, 1), `gaussian:D` is N(0, Σ) in D dimensions, Σ = I unless `condition` sets the variances
apart (I. Shumailov et al. 2023, arXiv 2305.17493; Q. Bertrand et al. 2024, arXiv 2310.00429; J. Kazdan et al.
2024, arXiv 2410.16713).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import Tensor

from cl_bench import register_benchmark
from cl_bench.benchmarks.drawn import DrawnBenchmark, DrawnOptions
from cl_bench.errors import UserError
from cl_bench.law import GaussianLaw
from cl_bench.parametrised import Parametrised


@register_benchmark("gaussian1d")
class Gaussian1D(DrawnBenchmark):
    """N(0, 1) as a self-consuming loop; every moment of its drift has a closed form."""

    generator = "gaussian"

    def variances(self) -> Tensor:
        """(d,) float64, in descending order."""
        return torch.ones(1, dtype=torch.float64)

    def law(self) -> GaussianLaw:
        variances = self.variances()
        return GaussianLaw(torch.zeros(1, len(variances), dtype=torch.float64), variances.diag().unsqueeze(0))

    def draw(self, n: int) -> Tensor:
        scale = self.variances().sqrt().float()
        return torch.randn(n, self.options.replicas, len(scale)) * scale


@dataclass(frozen=True)
class GaussianOptions(DrawnOptions):
    condition: Annotated[float, Ge(1)] = 1.0
    """largest variance over the smallest; they fall geometrically from 1"""


@register_benchmark("gaussian")
class Gaussian(Gaussian1D, Parametrised):
    """N(0, Σ) in D dimensions as a self-consuming loop, as gaussian:7."""

    Options = GaussianOptions
    takes = "D"

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        if not argument.isdecimal() or int(argument) < 1:
            raise UserError(f"benchmark gaussian:{argument}: the number of dimensions must be 1 or more")
        return super().parametrised(str(int(argument)))

    def variances(self) -> Tensor:
        exponents = torch.linspace(0, -1, int(self.argument), dtype=torch.float64)
        return torch.as_tensor(self.options.condition, dtype=torch.float64) ** exponents
