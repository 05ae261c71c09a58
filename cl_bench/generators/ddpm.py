"""DDPM: a denoising diffusion model of images with a convolutional network and fast samplers.

Papers: J. Ho, A. Jain, P. Abbeel, "Denoising Diffusion Probabilistic Models", 2020; A. Nichol, P. Dhariwal,
"Improved DDPM", 2021 (cosine schedule); T. Salimans, J. Ho, "Progressive Distillation", 2022 (v-prediction);
T. Hang et al., "Efficient Diffusion Training via Min-SNR Weighting", 2023. Samplers are those of diffusers:
DPM-Solver++ (C. Lu et al. 2022), UniPC (W. Zhao et al. 2023), DDIM (J. Song et al. 2021), ancestral (Ho et
al., algorithm 2).

  x_t = α_t x + σ_t ε with α_t² = ᾱ_t, σ_t² = 1 − ᾱ_t, t = 0 … 999
  target ε, or v = α_t ε − σ_t x, or x itself; loss w(t) ‖target − network(x_t, t, y)‖² with SNR = α²/σ²
  w = 1 for ε and v; 1/max(σ, 0.05)² for x, which makes it the loss of v
  or, with min-SNR, min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v, min(SNR, γ) for x

T. Li, K. He, "Back to Basics: Let Denoising Generative Models Denoise", 2025 (arXiv 2511.13720): noise fills
all dimensions of a patch and images few, so that a network of large patches learns x long before ε or v; the
limit 0.05 is their release's.

Deviations: fixed, not learned, variance; the estimate x̂ is clipped at each step; samplers are given x̂.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.generator import Guide
from cl_bench.generators.image_diffusion import ImageDiffusion, ImageDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.seeds import noise
from cl_bench.stream import StreamSpec

TIMES = 1000
SMALLEST_SIGMA = 0.05
LOG_SPACED = ("dpm-solver++", "unipc")
# σ/α between which these step: nothing of an image in [−1, 1] is left at 80, and 0.01 is a grey level.
LARGEST_RATIO, SMALLEST_RATIO = 80.0, 0.01


@dataclass(frozen=True)
class DDPMOptions(ImageDiffusionOptions):
    prediction: Literal["v", "epsilon", "x0"] = "v"
    """what the network predicts; x0, the image, takes fewest steps where patches are large, as in micro"""
    min_snr: Annotated[float, Ge(0)] | None = None
    """γ of min-SNR weighting, 5 in its paper; none for an unweighted loss"""
    sampler: Literal["dpm-solver++", "unipc", "ddim", "ancestral"] = "dpm-solver++"
    """how noise becomes an image"""
    sampling_steps: Annotated[int, Interval(gt=1, le=TIMES)] = 20
    """network evaluations per image"""


@register_generator("ddpm")
class DDPM(ImageDiffusion):
    """Denoising diffusion of images or vectors: UNet, v-, ε- or x0-prediction, DPM-Solver++, guidance."""

    version = 2
    paper = "Ho et al. 2020, arXiv 2006.11239; Nichol and Dhariwal 2021; Salimans and Ho 2022"
    Options = DDPMOptions

    def __init__(
        self, spec: StreamSpec, options: DDPMOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        self.alphas, self.sigmas = signal_and_noise(torch.arange(TIMES, device=device))

    def draw(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.randint(TIMES, (len(y),), device=x.device), torch.randn_like(x)

    def loss(
        self, x: Tensor, y: Tensor, t: Tensor, epsilon: Tensor, teacher: nn.Module | None = None
    ) -> Tensor:
        alpha, sigma = (values[t].view(-1, 1, 1, 1) for values in (self.alphas, self.sigmas))
        inputs = alpha * x + sigma * epsilon, t / TIMES, y
        predicted = self.forward(*inputs)
        target = {"v": alpha * epsilon - sigma * x, "epsilon": epsilon, "x0": x}[self.options.prediction]
        if teacher is not None:
            target = teacher(*inputs).float()
        error = (predicted.float() - target).square().mean((1, 2, 3))
        return (loss_weights(alpha.flatten(), sigma.flatten(), self.options) * error).mean()

    def level(self, u: float) -> tuple[float, float, float]:
        t = torch.tensor(u * (TIMES - 1), dtype=torch.float64)
        alpha, sigma = signal_and_noise(t)
        return float(alpha), float(sigma), float(t) / TIMES

    def clean(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        alpha, sigma = (values.view(-1, 1, 1, 1) for values in signal_and_noise(t * TIMES))
        predicted = self.averaged(x, t, y).float()
        if self.options.prediction == "x0":
            return predicted
        if self.options.prediction == "v":
            return alpha * x - sigma * predicted
        return (x - sigma * predicted) / alpha

    def denoise(self, generators: list[torch.Generator], y: Tensor, guide: Guide | None) -> Tensor:
        scheduler = _scheduler(self.options.sampler)
        steps = self.options.sampling_steps if guide is None or guide.steps is None else guide.steps
        scheduler.set_timesteps(steps, device=self.device)
        if self.options.sampler in LOG_SPACED:
            _space_evenly(scheduler, steps)
        x = noise(generators, self.unit.shape, self.device)
        more = {"generator": generators} if self.options.sampler == "ancestral" else {}
        for t in scheduler.timesteps:
            alpha, sigma = (float(v) for v in signal_and_noise(t.double()))
            clean = self.estimate(x, alpha, sigma, float(t) / TIMES, y, guide)
            x = scheduler.step(clean, t, x, **more).prev_sample
        return x


def loss_weights(alpha: Tensor, sigma: Tensor, options: DDPMOptions) -> Tensor:
    """w(t) at times with these α and σ, (n,)."""
    snr = (alpha / sigma).square()
    if options.min_snr is not None:
        # The squared error of the prediction over that of x̂.
        scale = {"v": snr + 1, "epsilon": snr, "x0": torch.ones_like(snr)}[options.prediction]
        return snr.clamp(max=options.min_snr) / scale
    if options.prediction == "x0":
        return sigma.clamp(min=SMALLEST_SIGMA).square().reciprocal()
    return torch.ones_like(snr)


@cache
def _log_ratio() -> Tensor:
    """ln(σ_t/α_t) at t = 0 … TIMES − 1, (TIMES,) float64."""
    squared = _scheduler("ancestral").alphas_cumprod.double()
    return ((1 - squared) / squared).log() / 2


def signal_and_noise(t: Tensor) -> tuple[Tensor, Tensor]:
    """α and σ at times t in [0, TIMES − 1], between whole ones by interpolating ln(σ/α)."""
    table = _log_ratio().to(t.device)
    below = t.floor().long().clamp(0, TIMES - 2)
    ratio = torch.lerp(table[below], table[below + 1], t.double() - below).exp()
    alpha = (1 + ratio.square()).rsqrt()
    return alpha.float(), (ratio * alpha).float()


def _space_evenly(scheduler: Any, steps: int) -> None:
    """Let a solver step evenly in ln(σ/α), as the papers of both do, between the two ratios.

    diffusers spaces evenly in time; the last step is then so long that 20 of them lose a quarter of the
    standard deviation of narrow data (tests/generators/test_image_diffusion.py has the closed form). Over
    all times of training, ln(σ/α) would go from 9.9 to −5.0, and more than a third of the steps change no
    image.
    """
    table = _log_ratio().numpy()
    levels = np.linspace(np.log(LARGEST_RATIO), np.log(SMALLEST_RATIO), steps)
    scheduler.timesteps = torch.from_numpy(np.interp(levels, table, np.arange(TIMES)))
    scheduler.sigmas = torch.from_numpy(np.append(np.exp(levels), 0.0)).float()


def _scheduler(sampler: str) -> Any:
    """diffusers' sampler, told that it is given x̂."""
    import diffusers

    shared = {
        "num_train_timesteps": TIMES,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
    }
    if sampler == "dpm-solver++":
        return diffusers.DPMSolverMultistepScheduler(**shared, algorithm_type="dpmsolver++")
    if sampler == "unipc":
        return diffusers.UniPCMultistepScheduler(**shared, predict_x0=True)
    if sampler == "ddim":
        return diffusers.DDIMScheduler(**shared, clip_sample=False)
    return diffusers.DDPMScheduler(**shared, clip_sample=False)
