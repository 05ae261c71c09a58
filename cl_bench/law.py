"""Laws that are known by their parameters: of made data, and of generators fitted to them.

Where both are known, what a loop has lost is a number without sampling error of its own. The leading axis of
every parameter is replicas, independent copies of one experiment side by side; one copy has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from cl_bench.metrics.bures import root_trace, squared_w2


class Law(ABC):
    """A distribution of R replicas."""

    @abstractmethod
    def compared(self, truth: Law) -> dict[str, Tensor]:
        """What there is to say about this law beside `truth`, by metric: (R,) float64, or (1,) where all
        replicas share it."""


@dataclass(frozen=True)
class Moments(Law):
    """A law of which mean (R, d) and covariance (R, d, d) are known, float64."""

    mean: Tensor
    covariance: Tensor

    def compared(self, truth: Law) -> dict[str, Tensor]:
        if not isinstance(truth, Moments):
            return {}
        traces, true_traces = _trace(self.covariance), _trace(truth.covariance)
        return {
            "mean_error": (self.mean - truth.mean).square().sum(-1),
            "variance": traces / true_traces,
            "variance_squared": (traces / true_traces).square(),
            "second_moment": _trace_of_square(self.covariance) / _trace_of_square(truth.covariance),
            "effective_dimension": traces.square() / _trace_of_square(self.covariance),
        }


@dataclass(frozen=True)
class GaussianLaw(Moments):
    """N(mean, covariance)."""

    def compared(self, truth: Law) -> dict[str, Tensor]:
        found = super().compared(truth)
        if not isinstance(truth, GaussianLaw):
            return found
        return found | {
            "w2": squared_w2(self.mean, self.covariance, truth.mean, truth.covariance),
            "std": root_trace(self.covariance) / root_trace(truth.covariance),
            "log_det": _log_det(self.covariance) - _log_det(truth.covariance),
        }


@dataclass(frozen=True)
class LocationLaw(Moments):
    """A law that only its location tells from others: `first` (R,), where it was first fitted, before a
    `shift` was added."""

    first: Tensor
    shift: float

    def compared(self, truth: Law) -> dict[str, Tensor]:
        found = super().compared(truth)
        return found | ({"shift_left": (self.mean[:, 0] - self.first) / self.shift} if self.shift else {})


@dataclass(frozen=True)
class MixtureLaw(Moments):
    """Σ_k weights_k N(centres_k, covariances_k): (R, k), (R, k, d) and (R, k, d, d) float64."""

    weights: Tensor
    centres: Tensor
    covariances: Tensor

    @classmethod
    def of(cls, weights: Tensor, centres: Tensor, covariances: Tensor) -> MixtureLaw:
        mean = torch.einsum("rk,rkd->rd", weights, centres)
        offset = centres - mean.unsqueeze(1)
        spread = covariances + offset.unsqueeze(-1) * offset.unsqueeze(-2)
        return cls(mean, torch.einsum("rk,rkde->rde", weights, spread), weights, centres, covariances)

    def compared(self, truth: Law) -> dict[str, Tensor]:
        found = super().compared(truth)
        if isinstance(truth, MixtureLaw):
            spread, true_spread = _trace(self.covariances).mean(1), _trace(truth.covariances).mean(1)
            found["component_spread"] = spread / true_spread
        return found


@dataclass(frozen=True)
class CategoricalLaw(Law):
    """Probabilities (R, k) of k categories, float64."""

    probabilities: Tensor

    def compared(self, truth: Law) -> dict[str, Tensor]:
        if not isinstance(truth, CategoricalLaw):
            return {}
        p, q = self.probabilities, truth.probabilities
        return {
            "heterozygosity": (1 - p.square().sum(1)) / (1 - q.square().sum(1)),
            "support": (p > 0).double().sum(1),
            "absorbed": (p.max(1).values == 1).double(),
            "entropy": torch.special.entr(p).sum(1),
            "total_variation": (p - q).abs().sum(1) / 2,
        }


@dataclass(frozen=True)
class LinearLaw(Law):
    """y = ⟨weights, x⟩ + noise · N(0, 1), x ~ N(0, I_d): weights (R, d) float64."""

    weights: Tensor
    noise: float

    def compared(self, truth: Law) -> dict[str, Tensor]:
        if not isinstance(truth, LinearLaw):
            return {}
        return {"weight_error": (self.weights - truth.weights).square().sum(1)}


def _trace(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).sum(-1)


def _log_det(matrices: Tensor) -> Tensor:
    """log |Σ| of positive semi-definite (…, d, d), −∞ where some direction has no variance but rounding."""
    if matrices.shape[-1] == 1:
        return matrices[..., 0, 0].log()
    values = torch.linalg.eigvalsh(matrices)
    least = values[..., -1:] * (matrices.shape[-1] * torch.finfo(values.dtype).eps)
    return torch.where(values > least, values, 0).log().sum(-1)


def _trace_of_square(matrices: Tensor) -> Tensor:
    """tr Σ² of symmetric (…, d, d)."""
    return matrices.square().sum((-2, -1))
