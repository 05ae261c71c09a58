"""One Gaussian per class, and per replica of the stream: the generator whose drift has a closed form.

Maximum likelihood or unbiased covariance, fitted to each class of the data given. With n samples per
class and replacement, E Σ_t = (1 − 1/n)^t Σ_0 for maximum likelihood and Σ_0 for the unbiased one (I.
Shumailov et al. 2023, arXiv 2305.17493; Q. Bertrand et al. 2024, arXiv 2310.00429, proposition 1). It is
the sampling-error-only oracle.

Deviation: images are rounded to uint8 and clipped to 0…255, as all images in replay are; vectors are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.law import GaussianLaw, Law
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class GaussianOptions:
    covariance: Literal["mle", "unbiased"] = "mle"
    """divide by n (maximum likelihood) or by n − 1"""


@register_generator("gaussian")
class Gaussian(Generator):
    """A Gaussian per class and replica, fitted in closed form; for images or vectors."""

    paper = "Shumailov et al. 2023, arXiv 2305.17493; Bertrand et al. 2024, arXiv 2310.00429"
    Options = GaussianOptions
    replicated = True

    def __init__(
        self, spec: StreamSpec, options: GaussianOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality == "text":
            raise UserError("generator 'gaussian' makes images or vectors, not text")
        size = math.prod(spec.shape) // spec.replicas
        self.mean = torch.zeros(spec.num_classes, spec.replicas, size, dtype=torch.float64)
        # Σ = factorᵀ factor, at most `size` rows.
        self.factor = torch.zeros(*self.mean.shape, size, dtype=torch.float64)

    def fit(self, data: Samples) -> None:
        x = data.x.reshape(len(data), *self.mean.shape[1:]).cpu()
        for c in data.classes:
            members = x[data.y.cpu() == c] if self.spec.num_classes > 1 else x
            mean = members.mean(0, dtype=torch.float64)
            unbiased = self.options.covariance == "unbiased" and len(members) > 1
            root = _factor(members, mean, len(members) - unbiased)
            self.mean[c], self.factor[c] = mean, 0
            self.factor[c, :, : root.shape[1]] = root

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            # Vectors are float32, and so may be the noise that they are made of.
            noise = torch.randn(len(labels), *self.mean.shape[1:], dtype=self._precision)
            for c in labels.unique().tolist():
                rows = labels == c if self.spec.num_classes > 1 else slice(None)
                noise[rows] = _transformed(noise[rows], self.mean[c], self.factor[c])
        x = noise.reshape(-1, *self.spec.shape)
        if self.spec.modality == "image":
            return x.round().clamp(0, 255).to(torch.uint8)
        return x

    @property
    def _precision(self) -> torch.dtype:
        return torch.float64 if self.spec.modality == "image" else torch.float32

    def law(self) -> Law | None:
        if self.spec.num_classes > 1:
            return None
        return GaussianLaw(self.mean[0], self.factor[0].mT @ self.factor[0])

    def state_dict(self) -> State:
        return {"mean": self.mean, "factor": self.factor}

    def load_state_dict(self, state: State) -> None:
        self.mean, self.factor = state["mean"].clone(), state["factor"].clone()


def _factor(x: Tensor, mean: Tensor, divisor: int) -> Tensor:
    """Upper triangular factors (R, min(n, d), d) of the covariances of x (n, R, d)."""
    if x.shape[2] == 1:
        # Differences in the precision of the data, their squares summed in float64.
        squares = (x - mean.to(x.dtype)).square_() if x.is_floating_point() else (x - mean).square()
        return (squares.sum(0, dtype=torch.float64) / divisor).sqrt().unsqueeze(1)
    return torch.linalg.qr(((x - mean) / math.sqrt(divisor)).transpose(0, 1), mode="r").R


def _transformed(noise: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """Standard noise (n, R, d) to N(mean, factorᵀ factor) of each replica, in the precision of the noise."""
    mean, factor = mean.to(noise.dtype), factor.to(noise.dtype)
    if noise.shape[2] == 1:
        return noise.mul_(factor[..., 0]).add_(mean)
    return mean + torch.einsum("nri,rij->nrj", noise, factor)
