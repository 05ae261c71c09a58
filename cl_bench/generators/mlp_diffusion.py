"""A small class-conditional diffusion model for vectors and tiny images: an MLP that predicts v.

Papers: J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020 (the model);
T. Salimans, J. Ho, "Progressive Distillation", 2022 (v-prediction, §4 and appendix D);
J. Song, C. Meng, S. Ermon, "Denoising Diffusion Implicit Models", 2021 (eq. 12 with σ = 0, the sampler);
P. Dhariwal, A. Nichol, "Diffusion Models Beat GANs", 2021 (algorithm 2, classifier guidance for DDIM).

Equations, with α = cos(πt/2), σ = sin(πt/2), t ∈ [0, 1], x in the unit of unit.py, images in [−1, 1]:
  x_t = α x + σ ε,   v = α ε − σ x,   x̂ = α x_t − σ v̂,   loss = E ‖v − v̂(x_t, t, y)‖²
  guidance: ε̂ ← ε̂ − s σ ∇_{x_t} log p(y | x̂),   DDIM step: x_s = α_s x̂ + σ_s ε̂.

Deviations: the denoiser is an MLP (8×8 pixels need no convolutions); time is continuous; the guide reads
the denoised x̂ unless told to read x_t, because it was never trained on noise; x̂ of images is clipped to
the data range at each step and ε̂ recomputed from it ("static thresholding", Saharia et al. 2022, §2.3).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.costs import evaluated, sampling
from cl_bench.divergence import LossGuard
from cl_bench.generator import Generator, Guide
from cl_bench.generators.unit import unit_of
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec

FIRST_TIME, SAMPLING_BATCH = 0.999, 4096  # at t = 1, α = 0 and guidance would divide by it


@dataclass(frozen=True)
class MLPDiffusionOptions:
    steps: Annotated[int, Gt(0)] = 600
    """training steps per task"""
    batch: Annotated[int, Gt(0)] = 128
    """samples per training step"""
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    """peak of AdamW's rate, falling to zero over each task by a cosine"""
    width: Annotated[int, Gt(0)] = 384
    """hidden units per layer"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    """decay of the averaged weights that sampling uses"""
    sampling_steps: Annotated[int, Gt(1)] = 25
    """DDIM steps per sample"""


@register_generator("mlp-diffusion")
class MLPDiffusion(Generator):
    """MLP denoiser with v-prediction, DDIM sampling and guidance, for vectors and images up to 16×16."""

    paper = "Ho et al. 2020; Salimans and Ho 2022 (v-prediction); Song et al. 2021 (DDIM)"
    guidable = True
    Options = MLPDiffusionOptions

    def __init__(
        self, spec: StreamSpec, options: MLPDiffusionOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        self.unit = unit_of(spec, "mlp-diffusion")
        size = math.prod(spec.shape)
        self.net = Denoiser(size, spec.num_classes, options.width).to(device)
        self.averaged = Denoiser(size, spec.num_classes, options.width).to(device).requires_grad_(False)
        self.averaged.load_state_dict(self.net.state_dict())

    def fit(self, data: Samples) -> None:
        options = self.options
        x = scaled(self.unit.prepared(data).x.to(self.device)).flatten(1)
        y = data.y.to(self.device)
        optimiser = torch.optim.AdamW(self.net.parameters(), lr=options.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
        guard = LossGuard("generator mlp-diffusion")
        for step in self.progress.steps(options.steps, "generator"):
            pick = torch.randint(len(x), (options.batch,), device=self.device)
            clean, noise = x[pick], torch.randn(options.batch, x.shape[1], device=self.device)
            # Stratified times: one in each 1/batch of [0, 1], which lowers the loss's variance for nothing.
            t = (torch.arange(options.batch, device=self.device) + torch.rand(1, device=self.device)) / len(
                pick
            )
            alpha, sigma = _schedule(t)
            v = alpha * noise - sigma * clean
            loss = (self.net(alpha * clean + sigma * noise, t, y[pick]) - v).square().mean()
            guard.check(loss)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            self._average(step)

    @torch.no_grad()
    def _average(self, step: int) -> None:
        # The short memory at first lets the average leave the last task's weights quickly.
        decay = min(self.options.ema, (1 + step) / (10 + step))
        weights = [(a, w) for a, w in zip(self.averaged.parameters(), self.net.parameters(), strict=True)]
        torch._foreach_lerp_([a for a, _ in weights], [w for _, w in weights], 1 - decay)

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            parts = [self._denoise(part, guide) for part in labels.to(self.device).split(SAMPLING_BATCH)]
        x = torch.cat(parts) if parts else torch.empty(0, math.prod(self.spec.shape))
        return self.unit.decoded(x)

    def _denoise(self, y: Tensor, guide: Guide | None) -> Tensor:
        x = torch.randn(len(y), math.prod(self.spec.shape), device=self.device)
        steps = self.options.sampling_steps if guide is None or guide.steps is None else guide.steps
        times = torch.linspace(FIRST_TIME, 0, steps + 1, device=self.device)
        for now, then in itertools.pairwise(times):
            (alpha, sigma), (next_alpha, next_sigma) = _schedule(now), _schedule(then)
            through = guide is not None and guide.target == "x0"
            x = x.detach().requires_grad_(guide is not None)
            with torch.set_grad_enabled(through):
                clean = alpha * x - sigma * self.averaged(x, now.expand(len(y)), y)
            evaluated(len(y))
            if guide is not None:
                with torch.enable_grad():
                    log_prob = guide.log_prob(self.unit.read(clean if through else x), y).sum()
                    (gradient,) = torch.autograd.grad(log_prob, x)
                # ε̂ ← ε̂ − sσg is x̂ ← x̂ + sσ²g/α.
                clean = clean + guide.scale * sigma**2 / alpha * gradient
            clean = self.unit.bounded(clean.detach())
            noise = (x.detach() - alpha * clean) / sigma
            x = next_alpha * clean + next_sigma * noise
        return x

    def state_dict(self) -> State:
        weights = prefixed("net", self.net.state_dict()) | prefixed("averaged", self.averaged.state_dict())
        return weights | prefixed("unit", self.unit.state_dict())

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(under("net", state))
        self.averaged.load_state_dict(under("averaged", state))
        self.unit.load_state_dict(under("unit", state))


def _schedule(t: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ at times t, each as a column."""
    angle = t.reshape(-1, 1) * (math.pi / 2)
    return angle.cos(), angle.sin()


class Denoiser(nn.Module):
    """v̂(x_t, t, y): (n, size), (n,), (n,) to (n, size). Condition added before each activation."""

    frequencies: Tensor

    def __init__(
        self, size: int, num_classes: int, width: int, layers: int = 3, frequencies: int = 16
    ) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2.0 ** torch.linspace(0, 5, frequencies), persistent=False)
        self.label = nn.Embedding(num_classes, width)
        self.time = nn.Linear(2 * frequencies, width)
        self.inward = nn.Linear(size, width)
        self.condition = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.outward = nn.Linear(width, size)

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        waves = t.reshape(-1, 1) * self.frequencies
        context = nn.functional.silu(self.time(torch.cat([waves.cos(), waves.sin()], 1)) + self.label(y))
        h = self.inward(x)
        for hidden, condition in zip(self.hidden, self.condition, strict=True):
            h = h + hidden(nn.functional.silu(h + condition(context)))
        return self.outward(nn.functional.silu(h))
