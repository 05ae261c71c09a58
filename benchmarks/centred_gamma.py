"""A skewed law for models that do not fit it: the centred gamma distribution.

x = g − k with g ~ Gamma(k, 1): mean 0, variance k. Maximum likelihood in a family that misses the skew has
its optimum elsewhere than in the law, as in the stability theory of Q. Bertrand et al. 2024 (arXiv
2310.00429).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_bench import register_benchmark
from cl_bench.benchmarks.drawn import DrawnBenchmark
from cl_bench.errors import UserError
from cl_bench.law import Moments
from cl_bench.parametrised import Parametrised


@register_benchmark("centred-gamma")
class CentredGamma(DrawnBenchmark, Parametrised):
    """Gamma(K, 1) − K in one dimension as a self-consuming loop, as centred-gamma:2."""

    generator = "logistic"
    takes = "K"

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        try:
            shape = float(argument)
        except ValueError:
            shape = 0.0
        if not 0 < shape < 1e6:
            raise UserError(f"benchmark centred-gamma:{argument}: the shape must be a number above 0")
        return super().parametrised(f"{shape:g}")

    @property
    def shape(self) -> float:
        return float(self.argument)

    def law(self) -> Moments:
        mean = torch.zeros(1, 1, dtype=torch.float64)
        return Moments(mean, torch.full((1, 1, 1), self.shape, dtype=torch.float64))

    def draw(self, n: int) -> Tensor:
        shape = torch.full((n, self.options.replicas, 1), self.shape)
        # Draws from torch's global generator, as the seed requires.
        return torch.distributions.Gamma(shape, torch.ones_like(shape)).sample() - self.shape
