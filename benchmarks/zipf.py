"""Words by Zipf's law, one at a time: the self-consuming loop of a discrete law, and of its tail.

`zipf:K` draws tokens 0 … K − 1 with p_k ∝ 1/(k + 1)^s, the most frequent first (G. K. Zipf, "Human Behavior
and the Principle of Least Effort", 1949). Refitting the exact empirical distribution to its own samples is
the Wright-Fisher model of genetics: rare tokens die out first, in the end one is left (I. Shumailov et al.
2023, arXiv 2305.17493, "discrete distributions with exact approximation"; generator `categorical`).
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
from cl_bench.law import CategoricalLaw
from cl_bench.parametrised import Parametrised


@dataclass(frozen=True)
class ZipfOptions(DrawnOptions):
    exponent: Annotated[float, Ge(0)] = 1.0
    """s of p_k ∝ 1/k^s, k from 1; 0 makes all tokens alike"""


@register_benchmark("zipf")
class Zipf(DrawnBenchmark, Parametrised):
    """K tokens by Zipf's law as a self-consuming loop, as zipf:50; a sample is one token."""

    generator = "categorical"
    modality = "text"
    Options = ZipfOptions
    takes = "K"

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        if not argument.isdecimal() or int(argument) < 2:
            raise UserError(f"benchmark zipf:{argument}: the number of tokens must be 2 or more")
        made = super().parametrised(str(int(argument)))
        made.vocabulary = int(argument)
        return made

    def probabilities(self) -> Tensor:
        """(K,) float64, in descending order."""
        weights = torch.arange(1, self.vocabulary + 1, dtype=torch.float64) ** -self.options.exponent
        return weights / weights.sum()

    def law(self) -> CategoricalLaw:
        return CategoricalLaw(self.probabilities().unsqueeze(0))

    def draw(self, n: int) -> Tensor:
        replicas = self.options.replicas
        return torch.multinomial(self.probabilities(), n * replicas, replacement=True).view(n, replicas, 1)
