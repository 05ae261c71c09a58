"""EDM: a diffusion model with preconditioned network, weighted loss and second-order deterministic sampler.

Paper: T. Karras, M. Aittala, T. Aila, S. Laine, "Elucidating the Design Space of Diffusion-Based Generative
Models", 2022 (arXiv 2206.00364); equations and constants are those of its table 1 and algorithm 1.

  D(x; σ, y) = c_skip x + c_out F(c_in x; c_noise, y)                                           eq. 7
  c_skip = σ_d²/(σ² + σ_d²),  c_out = σ σ_d/√(σ² + σ_d²),  c_in = 1/√(σ² + σ_d²)
  loss = E λ(σ) ‖D(x + σ ε; σ, y) − x‖²,  λ = (σ² + σ_d²)/(σ σ_d)²,  ln σ ~ N(−1.2, 1.2²)
  sampling: dx/dσ = (x − D)/σ by Heun's method over
  σ_i = (σ_max^{1/7} + i/(N−1) (σ_min^{1/7} − σ_max^{1/7}))^7, i = 0 … N−1, and σ_N = 0       eq. 5

Deviations: the network is that of `ddpm`; its time input is c_noise = ln(σ)/4 moved into [0, 1]; no
augmentation pipeline but the stream's own flips; D is clipped to the data range while sampling.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.generator import Guide
from cl_bench.generators.image_diffusion import ImageDiffusion, ImageDiffusionOptions
from cl_bench.seeds import noise

SIGMA_DATA, SIGMA_MIN, SIGMA_MAX, RHO = 0.5, 0.002, 80.0, 7.0
LOG_MEAN, LOG_STD = -1.2, 1.2


@dataclass(frozen=True)
class EDMOptions(ImageDiffusionOptions):
    sampling_steps: Annotated[int, Gt(1)] = 18
    """noise levels per image; Heun's method evaluates the network twice at all but the last"""


@register_generator("edm")
class EDM(ImageDiffusion):
    """Diffusion of images or vectors with Karras preconditioning and a deterministic Heun sampler."""

    version = 2
    paper = "Karras et al. 2022, arXiv 2206.00364"
    Options = EDMOptions
    vector_std = SIGMA_DATA

    def draw(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        sigma = (LOG_MEAN + LOG_STD * torch.randn(len(y), device=x.device)).exp()
        return sigma, torch.randn_like(x)

    def loss(
        self, x: Tensor, y: Tensor, sigma: Tensor, epsilon: Tensor, teacher: nn.Module | None = None
    ) -> Tensor:
        noisy = x + sigma.view(-1, 1, 1, 1) * epsilon
        skip, out, into = (c.view(-1, 1, 1, 1) for c in preconditioning(sigma))
        inputs = into * noisy, time_of(sigma), y
        predicted = self.forward(*inputs).float()
        # λ c_out² = 1: the loss of F against what D lacks is unweighted (paper, eq. 8).
        target = (x - skip * noisy) / out if teacher is None else teacher(*inputs).float()
        return (predicted - target).square().mean()

    def level(self, u: float) -> tuple[float, float, float]:
        low, high = SIGMA_MIN ** (1 / RHO), SIGMA_MAX ** (1 / RHO)
        sigma = (low + u * (high - low)) ** RHO
        return 1.0, sigma, float(time_of(torch.tensor(sigma)))

    def clean(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        sigma = sigma_at(t)
        skip, out, into = (c.view(-1, 1, 1, 1) for c in preconditioning(sigma))
        return skip * x + out * self.averaged(into * x, t, y).float()

    def denoise(self, generators: list[torch.Generator], y: Tensor, guide: Guide | None) -> Tensor:
        steps = self.options.sampling_steps if guide is None or guide.steps is None else guide.steps
        sigmas = noise_levels(steps)
        x = sigmas[0] * noise(generators, self.unit.shape, self.device)
        for now, then in itertools.pairwise([*sigmas, 0.0]):
            slope = self._slope(x, now, y, guide)
            ahead = x + (then - now) * slope
            if then > 0:
                slope = (slope + self._slope(ahead, then, y, guide)) / 2
                ahead = x + (then - now) * slope
            x = ahead
        return x

    def _slope(self, x: Tensor, sigma: float, y: Tensor, guide: Guide | None) -> Tensor:
        t = float(time_of(torch.tensor(sigma)))
        return (x - self.estimate(x, 1.0, sigma, t, y, guide)) / sigma


def noise_levels(steps: int) -> list[float]:
    """σ_0 = σ_max … σ_{steps−1} = σ_min (eq. 5)."""
    high, low = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return [(high + i / (steps - 1) * (low - high)) ** RHO for i in range(steps)]


def preconditioning(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in at noise levels σ."""
    total = sigma.square() + SIGMA_DATA**2
    return SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), 1 / total.sqrt()


def time_of(sigma: Tensor) -> Tensor:
    """c_noise = ln(σ)/4, moved so that σ_min … σ_max is 0 … 1."""
    low, high = math.log(SIGMA_MIN), math.log(SIGMA_MAX)
    return (sigma.log() - low) / (high - low)


def sigma_at(t: Tensor) -> Tensor:
    """The inverse of `time_of`."""
    low, high = math.log(SIGMA_MIN), math.log(SIGMA_MAX)
    return (low + t * (high - low)).exp()
