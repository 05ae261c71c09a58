"""Anchors: what is kept of a class when its real data go, mean and covariance of frozen features; and the
choice, among candidates, of a set that has them.

The distance between a set and its anchor is that of Gaussians (metrics/gaussian.py), squared 2-Wasserstein or
Bures-Wasserstein: with Gaussian label distances, OTDD's distance between labels is the same formula (D.
Alvarez-Melis, N. Fusi, NeurIPS 2020, §4.2), there in other features.

Choosing n of N so that it is least is a combinatorial problem; its second-order expansion about the anchor is
one of means. In the eigenbasis of Σ = Σ_k λ_k v_k v_kᵀ, with z_k = v_kᵀ(f − μ) and T the mean of z zᵀ,

  W₂²(chosen, anchor) ≈ ‖mean z‖² + Σ_ij (T − Λ)_ij² / (2(λ_i + λ_j))
                      ≤ ‖mean z‖² + ¼ ‖Λ^-¼ (T − Λ) Λ^-¼‖²   since λ_i + λ_j ≥ 2 √(λ_i λ_j)

(R. Bhatia, T. Jain, Y. Lim 2019, "On the Bures-Wasserstein distance", gives the metric tensor). The bound is a
squared distance between mean embeddings with the kernel k(f, f′) = z·z′ + ¼ (u·u′)², u = Λ^-¼ z, so that the
choice is kernel herding (Y. Chen, M. Welling, A. Smola, UAI 2010) with swaps: from a random set, the worst
member is changed for the best non-member until no swap helps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl_bench.metrics import gaussian
from cl_bench.state import State

# Share of the mean variance added to each eigenvalue where one is divided by, for directions without any.
RIDGE = 0.01


@dataclass(frozen=True)
class Anchor:
    """N(mean, Σ) in d dimensions, Σ = factorᵀ factor + rest · (I − P), P the projection onto factor's rows.

    mean: (d,). factor: (r, d), orthogonal rows, r ≤ d. rest: variance in every direction beside them. All
    float32, (2 + r) d + 1 numbers at most.
    """

    mean: Tensor
    factor: Tensor
    rest: Tensor

    @classmethod
    def of(cls, features: Tensor, rank: int) -> Anchor:
        """The anchor of features (n, d), n ≥ 1: unbiased covariance, its `rank` largest eigenvalues exactly,
        the others by their mean."""
        x = features.double()
        mean = x.mean(0)
        _, root, axes = torch.linalg.svd((x - mean) / max(len(x) - 1, 1) ** 0.5, full_matrices=False)
        d, r = x.shape[1], min(rank, len(root))
        left = root[r:].square().sum() / (d - r) if r < d else torch.zeros((), dtype=x.dtype)
        return cls(mean.float(), (root[:r, None] * axes[:r]).float(), left.float())

    def state_dict(self) -> State:
        return {"mean": self.mean, "factor": self.factor, "rest": self.rest}

    def eigen(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (d,) and eigenvectors (d, d), as rows, of Σ, float64."""
        factor = self.factor.double()
        r, d = factor.shape
        covariance = factor.T @ factor
        # The rows are orthogonal, so the eigenvectors beside them span the rest.
        _, vectors = torch.linalg.eigh(covariance)
        vectors = vectors.flip(1).T
        values = torch.full((d,), float(self.rest), dtype=torch.float64)
        values[:r] = (vectors[:r] @ covariance * vectors[:r]).sum(1)
        return values, vectors

    def fit(self) -> gaussian.GaussianFit:
        """The anchor as metrics/gaussian.py has it."""
        values, vectors = self.eigen()
        return gaussian.GaussianFit(
            self.mean.double().numpy(), (values.clamp(min=0).sqrt()[:, None] * vectors).numpy()
        )

    def distance(self, features: Tensor) -> float:
        """Squared Bures-Wasserstein distance of the moments of features (n, d) to the anchor."""
        return gaussian.squared_distance(gaussian.fit(features.double().cpu().numpy()), self.fit())

    def log_density(self, features: Tensor) -> Tensor:
        """log N(f; μ, Σ) up to a constant, (n,), of features (n, d); differentiable."""
        values, vectors = self.eigen()
        whiten = vectors / (values + RIDGE * values.mean()).sqrt()[:, None]
        z = (features - self.mean.to(features)) @ whiten.to(features).T
        return -z.square().sum(1) / 2

    def choose(self, features: Tensor, n: int) -> Tensor:
        """Indices (n,), ascending, of the rows of features (N, d) whose moments together come closest to the
        anchor: the first n, improved by swaps. N ≥ n."""
        return choose(self, features, n)


def choose(anchor: Anchor, features: Tensor, n: int) -> Tensor:
    """See `Anchor.choose`."""
    size = len(features)
    if n >= size or n == 0:
        return torch.arange(min(n, size))
    values, vectors = (part.to(features.device) for part in anchor.eigen())
    z = (features.double() - anchor.mean.to(features.device)) @ vectors.T
    padded = values + RIDGE * values.mean()
    u = z / padded**0.25
    norm = z.square().sum(1) + u.square().sum(1).square() / 4
    # What the anchor's own second moment contributes to a candidate.
    pull = (z.square() * (values / padded)).sum(1) / 4

    def row(i: int) -> Tensor:
        return z @ z[i] + (u @ u[i]).square() / 4

    inside = torch.zeros(size, dtype=torch.bool, device=z.device)
    inside[:n] = True
    m = torch.full((), -torch.inf, dtype=z.dtype, device=z.device)
    total = z @ z[:n].sum(0) + ((u @ (u[:n].T @ u[:n])) * u).sum(1) / 4
    for _ in range(10 * n):
        leave = int(torch.where(inside, 2 * total - norm - 2 * n * pull, m).argmax())
        gone = row(leave)
        cost = 2 * (total - gone) + norm - 2 * n * pull
        without = float(cost[leave])
        enter = int(torch.where(inside, -m, cost).argmin())
        if float(cost[enter]) >= without - 1e-12 * abs(without):
            break
        inside[leave], inside[enter] = False, True
        total += row(enter) - gone
    return inside.nonzero().flatten().cpu()


def effective_share(anchor: Anchor, features: Tensor) -> float:
    """How many of features (N, d) importance weights from their own Gaussian to the anchor's would keep, as a
    share of N: (Σw)²/(N Σw²), 1 where both are one."""
    own = Anchor.of(features, features.shape[1])
    weights = (anchor.log_density(features) - own.log_density(features)).double()
    weights = (weights - weights.max()).exp()
    return float(weights.sum().square() / (len(weights) * weights.square().sum()))
