"""Mixtures of equal round Gaussians in the plane: what loops make of several modes.

`gmm2` stands for the two Gaussians of I. Shumailov et al. 2023 (arXiv 2305.17493), refitted by EM on 1,000
samples a generation. `gmm5` stands for the five of M. Zverev, A. Koepke, J. Henriques 2025 (2512.11867),
5,000 samples and a WGAN. `eight-gaussians` is that of flow matching (A. Tong et al. 2024, 2302.00482; shown
in Q. Bertrand et al. 2024, 2310.00429): centres on a circle of radius 5.

  p(x) = 1/k Σ_j N(x; centre_j, sigma² I)

Ours: the places and sizes of gmm2 and gmm5, which neither paper's text gives. The release of Tong et al.
calls its variance 0.1 but hands √0.1 to the covariance: sigma² = √0.1 = 0.316, sigma = 0.562. That is what
others have trained on since, and ours, too.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor

from cl_bench import register_benchmark
from cl_bench.benchmarks.drawn import DrawnBenchmark, DrawnOptions
from cl_bench.law import MixtureLaw


@dataclass(frozen=True)
class GMM2Options(DrawnOptions):
    sigma: Annotated[float, Gt(0)] = 0.5
    """standard deviation of each Gaussian; the centres are 4 apart"""


@dataclass(frozen=True)
class GMM5Options(DrawnOptions):
    n: Annotated[int, Gt(1)] = 5000
    """real training samples, of each generation where they are fresh"""
    sigma: Annotated[float, Gt(0)] = 0.3
    """standard deviation of each Gaussian; neighbours' centres are 2.35 apart"""


@dataclass(frozen=True)
class EightGaussiansOptions(DrawnOptions):
    n: Annotated[int, Gt(1)] = 5000
    """real training samples, of each generation where they are fresh"""
    sigma: Annotated[float, Gt(0)] = 0.1**0.25
    """standard deviation of each Gaussian; neighbours' centres are 3.83 apart"""


class MixtureBenchmark(DrawnBenchmark):
    """Subclasses give `centres`."""

    @abstractmethod
    def centres(self) -> Tensor:
        """(k, d) float64."""

    def law(self) -> MixtureLaw:
        centres = self.centres()
        k, d = centres.shape
        covariances = self.options.sigma**2 * torch.eye(d, dtype=torch.float64).expand(1, k, d, d)
        return MixtureLaw.of(torch.full((1, k), 1 / k, dtype=torch.float64), centres[None], covariances)

    def draw(self, n: int) -> Tensor:
        centres = self.centres().float()
        chosen = centres[torch.randint(len(centres), (n, self.options.replicas))]
        return chosen + self.options.sigma * torch.randn_like(chosen)


@register_benchmark("gmm2")
class GMM2(MixtureBenchmark):
    """Two Gaussians in the plane as a self-consuming loop, 1,000 samples a generation."""

    generator = "gmm"
    Options = GMM2Options

    def centres(self) -> Tensor:
        return torch.tensor([[-2.0, 0.0], [2.0, 0.0]], dtype=torch.float64)


@register_benchmark("gmm5")
class GMM5(MixtureBenchmark):
    """Five Gaussians on a circle of radius 2 as a self-consuming loop, 5,000 samples a generation."""

    generator = "wgan"
    Options = GMM5Options

    def centres(self) -> Tensor:
        return circle(5, 2.0)


@register_benchmark("eight-gaussians")
class EightGaussians(MixtureBenchmark):
    """Eight Gaussians on a circle of radius 5 as a self-consuming loop."""

    generator = "mlp-diffusion"
    Options = EightGaussiansOptions

    def centres(self) -> Tensor:
        return circle(8, 5.0)


def circle(k: int, radius: float) -> Tensor:
    """radius · (cos, sin)(2πj/k) for j = 0 … k − 1: (k, 2) float64."""
    angles = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
    return radius * torch.stack([angles.cos(), angles.sin()], 1)
