"""The logistic location family: a misspecified model whose stability is known exactly.

  p_θ(x) = e^{−z}/(1 + e^{−z})², z = x − θ;  ∂_θ log p_θ = tanh(z/2), ∂²_θ log p_θ = −½ sech²(z/2)

fitted by maximum likelihood. Retrained on real data and λ synthetic samples per real one, a small deviation
from the optimum θ* of the real data is multiplied by λB/(A + λB) in each generation, A = E_real ∂²_θ log
p_θ*, B = −1/3 (minus the Fisher information): below 1 for every finite λ, where the sufficient condition of
Q. Bertrand et al. 2024 (arXiv 2310.00429, theorem 1) holds for small λ only. `shift` makes such a deviation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.law import LocationLaw
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec

NEWTON_STEPS = 20
CLOSE = 1e-7  # in units of the data; the data are float32


@dataclass(frozen=True)
class LogisticOptions:
    shift: float = 0.0
    """added to the location of the first fit, to watch it decay"""


@register_generator("logistic")
class Logistic(Generator):
    """A logistic distribution of unit scale per replica, its location fitted by Newton's method."""

    paper = "Bertrand et al. 2024, arXiv 2310.00429"
    Options = LogisticOptions
    replicated = True

    def __init__(
        self, spec: StreamSpec, options: LogisticOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "vector" or spec.shape[-1] != 1 or spec.num_classes > 1:
            raise UserError("generator 'logistic' makes numbers of one class; try benchmark centred-gamma:2")
        self.location = torch.zeros(spec.replicas, dtype=torch.float64)
        # Of the first fit, before the shift; NaN before there is one.
        self.first = torch.full_like(self.location, torch.nan)

    def fit(self, data: Samples) -> None:
        x = data.x.reshape(len(data), -1).cpu()
        begins = bool(self.first.isnan().all())
        self.location = _maximum(x, x.double().mean(0) if begins else self.location)
        if begins:
            self.first = self.location
            self.location = self.location + self.options.shift

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            # Open at both ends, or the quantile would be infinite.
            u = torch.rand(len(labels), len(self.location), dtype=torch.float64).clamp_(1e-12, 1 - 1e-12)
            x = self.location + torch.logit(u)
        return x.float().reshape(-1, *self.spec.shape)

    def law(self) -> LocationLaw:
        variance = torch.full((len(self.location), 1, 1), torch.pi**2 / 3, dtype=torch.float64)
        return LocationLaw(self.location.unsqueeze(1), variance, self.first, self.options.shift)

    def state_dict(self) -> State:
        return {"location": self.location, "first": self.first}

    def load_state_dict(self, state: State) -> None:
        self.location, self.first = state["location"].clone(), state["first"].clone()


def _maximum(x: Tensor, start: Tensor) -> Tensor:
    """Locations (R,) float64 of greatest likelihood of x (n, R), which is concave, by Newton's method."""
    location = start
    for _ in range(NEWTON_STEPS):
        slope = torch.tanh((x - location.float()) / 2)
        gradient = slope.mean(0, dtype=torch.float64)
        curvature = (1 - slope.square()).mean(0, dtype=torch.float64) / 2
        # Far from all data the curvature vanishes, and the step must not run away.
        step = gradient / curvature.clamp(min=0.05)
        location = location + step
        if step.abs().max() < CLOSE:
            break
    return location
