"""A kernel density estimate: stored samples with Gaussian noise, the loop that resampling makes.

E. Parzen 1962; D. W. Scott, "Multivariate Density Estimation", 1992 (the rule); as a loop that feeds on
itself J. Kazdan et al. 2024 (arXiv 2410.16713).

  x = x_i + h ε,  i uniform over the n samples of the class, ε ~ N(0, I), or with Scott's rule
  x = x_i + n^{−1/(d+4)} S^½ ε,  S their covariance, divided by n − 1

Refitted to n of its own samples, the variance v of its data goes to (1 − 1/n)(v + h²) on average in each
coordinate: E v_t = (1 − 1/n)^{t+1} v₀ + h² (n − 1)(1 − (1 − 1/n)^t). Zero bandwidth resamples only.

Every replica of the stream, and every class, has an estimate of its own.
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
from cl_bench.law import Law, Moments
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class KDEOptions:
    bandwidth: Annotated[float, Ge(0)] | Literal["scott"] = "scott"
    """standard deviation h of the noise in the data's units, or Scott's rule"""


@register_generator("kde")
class KDE(Generator):
    """Kernel density estimate of vectors, per class and replica: resampling with noise."""

    paper = "Parzen 1962; Scott 1992; Kazdan et al. 2024, arXiv 2410.16713"
    Options = KDEOptions
    replicated = True

    def __init__(
        self, spec: StreamSpec, options: KDEOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "vector":
            raise UserError(f"generator 'kde' makes vectors, not {spec.modality} data")
        size = math.prod(spec.shape) // spec.replicas
        self.x = torch.empty(0, spec.replicas, size)
        self.y = torch.empty(0, dtype=torch.int64)

    def fit(self, data: Samples) -> None:
        # Classes that are not in the data are kept, as by a network's weights.
        others = ~torch.isin(self.y, data.y.unique())
        x = data.x.reshape(len(data), *self.x.shape[1:]).float()
        self.x, self.y = torch.cat([self.x[others], x]), torch.cat([self.y[others], data.y])

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            drawn = torch.empty(len(labels), *self.x.shape[1:])
            for c in labels.unique().tolist():
                rows = labels == c
                drawn[rows] = self._drawn(self.x[self.y == c], int(rows.sum()))
        return drawn.reshape(-1, *self.spec.shape)

    def _drawn(self, x: Tensor, n: int) -> Tensor:
        """(n, R, d) from the estimate on x (m, R, d)."""
        if not len(x):
            raise UserError("generator 'kde' was asked for a class that it has not seen")
        chosen = torch.randint(len(x), (n, x.shape[1], 1)).expand(-1, -1, x.shape[2])
        noise = torch.randn(n, *x.shape[1:])
        h = self.options.bandwidth
        if h == "scott":
            noise = torch.einsum("nri,rij->nrj", noise, _root(_scott(x)).float())
            h = 1.0
        return x.gather(0, chosen).add_(noise, alpha=h)

    def law(self) -> Law | None:
        if self.spec.num_classes > 1 or not len(self.x):
            return None
        x, h = self.x, self.options.bandwidth
        spread = _scott(x) if h == "scott" else h**2 * torch.eye(x.shape[2], dtype=torch.float64)
        return Moments(x.double().mean(0), _covariance(x, len(x)) + spread)

    def state_dict(self) -> State:
        return {"x": self.x, "y": self.y}

    def load_state_dict(self, state: State) -> None:
        self.x, self.y = state["x"].clone(), state["y"].clone()


def _covariance(x: Tensor, divisor: int) -> Tensor:
    """(m, R, d) to (R, d, d) float64."""
    centred = x.double() - x.double().mean(0)
    return torch.einsum("nri,nrj->rij", centred, centred) / divisor


def _scott(x: Tensor) -> Tensor:
    """Covariance of the noise by Scott's rule, (R, d, d) float64; 0 for a single sample."""
    n, _, d = x.shape
    return n ** (-2 / (d + 4)) * _covariance(x, max(n - 1, 1))


def _root(covariance: Tensor) -> Tensor:
    """Symmetric roots of (R, d, d), which may be singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT
