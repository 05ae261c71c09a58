"""Flow matching: a velocity field along straight paths from noise to data, paired by optimal transport.

Papers: Y. Lipman et al., "Flow Matching for Generative Modeling", 2023 (arXiv 2210.02747); A. Tong et al.,
"Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport", 2024 (2302.00482),
OT-CFM.

  x_t = t x + (1 − t) ε, t ~ U(0, 1);  loss = E ‖network(x_t, t, y) − (x − ε)‖²
  sampling: dx/dt = network(x, t, y), t from 0 to 1

With `coupling=ot` the noise of a batch is dealt out to its samples so that the total squared distance is
least, within each class (between equally many points the optimal plan is an assignment, solved exactly by
SciPy, at the same cost as POT's exact plan): dealt out across classes, the noise of a class would no longer
be Gaussian.

Deviations: σ_min = 0; Euler's method by default; the estimate x̂ = x_t + (1 − t) v of images is clipped at
each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.generators.image_diffusion import ImageDiffusion, ImageDiffusionOptions
from cl_bench.seeds import noise

START = 1e-3  # at t = 0, x_t holds nothing of the image and guidance would divide by t
TOLERANCE = 1e-3


@dataclass(frozen=True)
class FlowOptions(ImageDiffusionOptions):
    coupling: Literal["ot", "independent"] = "ot"
    """how noise is paired with images: by optimal transport within each class of a batch, or at random"""
    solver: Literal["euler", "dopri5"] = "euler"
    """how the flow is followed: in equal steps, or by an adaptive Runge-Kutta method (tolerance 1e-3)"""
    sampling_steps: Annotated[int, Gt(1)] = 20
    """steps of solver euler"""


@register_generator("flow")
class Flow(ImageDiffusion):
    """Flow matching of images or vectors with minibatch optimal transport (OT-CFM)."""

    paper = "Tong et al. 2024, arXiv 2302.00482; Lipman et al. 2023, arXiv 2210.02747"
    Options = FlowOptions

    def draw(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        epsilon = torch.randn_like(x)
        if self.options.coupling == "ot":
            epsilon = coupled(epsilon, x, y)
        return torch.rand(len(y), device=x.device), epsilon

    def loss(
        self, x: Tensor, y: Tensor, t: Tensor, epsilon: Tensor, teacher: nn.Module | None = None
    ) -> Tensor:
        along = t.view(-1, 1, 1, 1)
        inputs = along * x + (1 - along) * epsilon, t, y
        target = x - epsilon if teacher is None else teacher(*inputs).float()
        return (self.forward(*inputs).float() - target).square().mean()

    def level(self, u: float) -> tuple[float, float, float]:
        return 1 - u, u, 1 - u

    def clean(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return x + (1 - t.view(-1, 1, 1, 1)) * self.averaged(x, t, y).float()

    def denoise(self, generators: list[torch.Generator], y: Tensor, guide: Guide | None) -> Tensor:
        x = noise(generators, self.unit.shape, self.device)
        steps = self.options.sampling_steps if guide is None or guide.steps is None else guide.steps
        if self.options.solver == "dopri5":
            if guide is not None and guide.steps is not None:
                raise UserError("generator 'flow': dopri5 chooses its steps itself; use -o solver=euler")
            return self._adaptively(x, y, guide)
        for step in range(steps):
            x = x + self._velocity(x, step / steps, y, guide) / steps
        return x

    def _velocity(self, x: Tensor, t: float, y: Tensor, guide: Guide | None) -> Tensor:
        t = max(t, START)
        return (self.estimate(x, t, 1 - t, t, y, guide) - x) / (1 - t)

    def _adaptively(self, x: Tensor, y: Tensor, guide: Guide | None) -> Tensor:
        """Dormand and Prince's method of SciPy; its steps depend on the whole batch."""
        from scipy.integrate import solve_ivp

        def velocity(t: float, flat: np.ndarray) -> np.ndarray:
            state = torch.from_numpy(flat).float().view_as(x).to(x.device)
            return self._velocity(state, t, y, guide).flatten().double().cpu().numpy()

        start = x.flatten().double().cpu().numpy()
        solved = solve_ivp(velocity, (START, 1 - START), start, "RK45", rtol=TOLERANCE, atol=TOLERANCE)
        if not solved.success:
            raise UserError(f"generator 'flow': dopri5 gave up ({solved.message}); use -o solver=euler")
        return torch.from_numpy(solved.y[:, -1]).float().view_as(x).to(x.device)


def coupled(noise: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`noise` dealt out anew within each class of y, so that its squared distance to x is least."""
    from scipy.optimize import linear_sum_assignment

    out = noise.clone()
    for c in y.unique():
        members = torch.nonzero(y == c).flatten()
        distance = torch.cdist(x[members].flatten(1), noise[members].flatten(1)).square()
        _, partner = linear_sum_assignment(distance.cpu().numpy())
        out[members] = noise[members[torch.from_numpy(partner).to(members.device)]]
    return out
