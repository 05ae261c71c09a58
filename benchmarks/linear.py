"""Linear regression whose labels become its own predictions: the loop of least squares.

  y = ⟨w*, x⟩ + noise · ε,  x ~ N(0, I_D), ε ~ N(0, 1);  a sample is (x, y), D + 1 values

M. Gerstgrasser et al. 2024 (arXiv 2404.01413, §3, after E. Dohmatob et al. 2024): refitted by least squares t
times to n fresh inputs that the last fit has labelled, E ‖w_t − w*‖² = t · noise² D/(n − D − 1); with the
data of all generations kept, it stays below (π²/6) · noise² D/(n − D − 1).

w* is the unit vector of equal entries: no number of the loop depends on it.
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
from cl_bench.law import LinearLaw
from cl_bench.parametrised import Parametrised


@dataclass(frozen=True)
class LinearOptions(DrawnOptions):
    noise: Annotated[float, Ge(0)] = 1.0
    """standard deviation of y around its prediction"""


@register_benchmark("linear")
class Linear(DrawnBenchmark, Parametrised):
    """Linear regression on D Gaussian inputs as a self-consuming loop, as linear:5."""

    generator = "ols"
    Options = LinearOptions
    takes = "D"

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        if not argument.isdecimal() or int(argument) < 1:
            raise UserError(f"benchmark linear:{argument}: the number of inputs must be 1 or more")
        return super().parametrised(str(int(argument)))

    def weights(self) -> Tensor:
        """w*, (D,) float64."""
        d = int(self.argument)
        return torch.full((d,), d**-0.5, dtype=torch.float64)

    def law(self) -> LinearLaw:
        noise = torch.tensor([self.options.noise], dtype=torch.float64)
        return LinearLaw(self.weights()[None], noise)

    def draw(self, n: int) -> Tensor:
        x = torch.randn(n, self.options.replicas, int(self.argument))
        y = x @ self.weights().float() + self.options.noise * torch.randn(n, self.options.replicas)
        return torch.cat([x, y.unsqueeze(-1)], -1)
