"""Least squares that labels its own training data: the linear model of self-consuming loops.

M. Gerstgrasser et al. 2024, "Is Model Collapse Inevitable?" (arXiv 2404.01413, §3); E. Dohmatob, Y. Feng, J.
Kempe 2024, "Model Collapse Demystified" (2402.07712).

  fit: ŵ = argmin Σ (y − ⟨w, x⟩)² over samples (x, y);  sampling: x ~ N(0, I_d), y = ⟨ŵ, x⟩ + σ ε, ε ~ N(0, 1)

With n samples a generation, E ‖w_t − w*‖² = t σ² d/(n − d − 1) where each replaces the last.

Deviation: σ, which the papers take as known, is estimated by √(residual sum of squares/(n − d)) unless
`label_noise` gives it. The expectation above stays the same, since σ̂² is unbiased and independent of ŵ given
x.

Every replica of the stream has a fit of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.law import Law, LinearLaw
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class OLSOptions:
    label_noise: Annotated[float, Ge(0)] | Literal["estimated"] = "estimated"
    """standard deviation σ of y around its prediction, as known, or estimated from the residuals"""


@register_generator("ols")
class OLS(Generator):
    """Linear regression on standard Gaussian inputs; the last value of a sample is its label."""

    paper = "Gerstgrasser et al. 2024, arXiv 2404.01413; Dohmatob et al. 2024, arXiv 2402.07712"
    Options = OLSOptions
    replicated = True

    def __init__(
        self, spec: StreamSpec, options: OLSOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        self.inputs = math.prod(spec.shape) // spec.replicas - 1
        if spec.modality != "vector" or self.inputs < 1 or spec.num_classes > 1:
            raise UserError(
                "generator 'ols' fits a linear model to vectors of one class with two values or more, "
                "such as those of --benchmark linear:5"
            )
        self.weights = torch.zeros(spec.replicas, self.inputs, dtype=torch.float64)
        self.noise = torch.zeros(spec.replicas, dtype=torch.float64)

    def fit(self, data: Samples) -> None:
        n, d = len(data), self.inputs
        if n <= d:
            raise UserError(f"generator 'ols': {n} samples do not determine {d} weights; expected more")
        pairs = data.x.reshape(n, self.spec.replicas, d + 1).double().transpose(0, 1)
        x, y = pairs[..., :d], pairs[..., d:]
        solved = torch.linalg.lstsq(x, y).solution
        self.weights = solved.squeeze(-1)
        known = self.options.label_noise
        if known == "estimated":
            self.noise = ((y - x @ solved).square().sum((1, 2)) / (n - d)).sqrt()
        else:
            self.noise = torch.full_like(self.noise, known)

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            x = torch.randn(len(labels), *self.weights.shape)
            y = torch.einsum("nrd,rd->nr", x, self.weights.float())
            y += self.noise.float() * torch.randn_like(y)
        return torch.cat([x, y.unsqueeze(-1)], -1).reshape(-1, *self.spec.shape)

    def law(self) -> Law | None:
        return LinearLaw(self.weights, self.noise)

    def state_dict(self) -> State:
        return {"weights": self.weights, "noise": self.noise}

    def load_state_dict(self, state: State) -> None:
        self.weights, self.noise = state["weights"].clone(), state["noise"].clone()
