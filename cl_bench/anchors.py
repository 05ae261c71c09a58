"""Anchors: what is kept of a class when its real data go, mean and covariance of frozen features, and two
ways to give them back to samples: a map of each sample, and a choice among candidates.

Let μ, Σ be the moments of the real data, v_k the r leading eigenvectors of Σ and λ_k its eigenvalues; in the
other m = d − r directions only the mean variance ρ is kept. A set with mean m̄ has z_k = v_kᵀ(f − μ), C the
covariance of z, ρ̄ its mean variance in the other directions. Its distance to the anchor is that of Gaussians,
squared 2-Wasserstein or Bures-Wasserstein (metrics/gaussian.py), as far as the anchor knows:

  W₂² = ‖m̄ − μ‖² + BW²(C, Λ) + m (√ρ̄ − √ρ)²

With Gaussian label distances, OTDD's distance between labels is the same formula (D. Alvarez-Melis, N. Fusi,
NeurIPS 2020, §4.2), there in features of its own.

Transport: the optimal map between two Gaussians is affine (M. Knott, C. Smith 1984; I. Olkin, F. Pukelsheim
1982), z ↦ A(z − z̄) with A = C^-½ (C^½ Λ C^½)^½ C^-½, and √(ρ/ρ̄) in the other directions.

Choice: which n of N have the least W₂² is a combinatorial problem, but its second-order expansion about the
anchor is one of means. With T the mean of z zᵀ and e the squared length of the other part of f − μ,

  W₂² ≈ ‖m̄ − μ‖² + Σ_ij (T − Λ)_ij² / (2(λ_i + λ_j)) + (ē − mρ)² / (4mρ)
      ≤ ‖m̄ − μ‖² + ¼ ‖Λ^-¼ (T − Λ) Λ^-¼‖² + (ē − mρ)² / (4mρ)       since λ_i + λ_j ≥ 2 √(λ_i λ_j)

(expansion of the trace formula; the bound is ours). The right-hand side is a squared distance of mean
embeddings with the kernel k(f, f′) = (f − μ)·(f′ − μ) + ¼ (u·u′)² + e e′/(4mρ), u = Λ^-¼ z, so that choosing
is kernel herding (Y. Chen, M. Welling, A. Smola, UAI 2010), here by swaps: from a random set, the worst
member is changed for the best candidate left out, until no swap helps. Covariance is part of it: to prefer
probable candidates one by one would take the set's variance away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics import gaussian
from cl_bench.state import State

# Share of the mean variance of the leading directions that is added to each, where one is divided by; and
# what is added at least.
RIDGE, LEAST = 1e-3, 1e-9
NEGLIGIBLE = 1e-9  # share of the largest eigenvalue below which a direction has none


@dataclass(frozen=True)
class Moments:
    """Of a set as an anchor sees it, float64: mean (d,); inner (r, r), covariance in the anchor's leading
    directions; rest, mean variance in the others."""

    mean: Tensor
    inner: Tensor
    rest: Tensor


@dataclass(frozen=True)
class Anchor:
    """Moments of a class in d dimensions.

    mean: (d,) float32. factor: (r, d) float16, row k √λ_k v_k. rest: ρ, float32; 0 where r = d.
    """

    mean: Tensor
    factor: Tensor
    rest: Tensor

    @classmethod
    def of(cls, features: Tensor, rank: int) -> Anchor:
        """The anchor of features (n, d), n ≥ 1, from their unbiased covariance; r = `rank`, or as many
        directions as have any variance."""
        x = features.double().cpu()
        mean = x.mean(0)
        _, root, axes = torch.linalg.svd((x - mean) / max(len(x) - 1, 1) ** 0.5, full_matrices=False)
        some = root.square() > NEGLIGIBLE * max(float(root[0].square()), 1e-30)
        r, d = min(rank, int(some.sum())), x.shape[1]
        rest = root[r:].square().sum() / (d - r) if r < d else torch.zeros(())
        return cls(mean.float(), (root[:r, None] * axes[:r]).half(), rest.float())

    @property
    def rank(self) -> int:
        return len(self.factor)

    @property
    def values(self) -> Tensor:
        """λ, (r,) float64."""
        return self.factor.double().square().sum(1)

    @property
    def axes(self) -> Tensor:
        """v_k as rows, (r, d) float64, orthonormal in spite of rounding."""
        return torch.linalg.qr(self.factor.double().T).Q.T

    @property
    def ridge(self) -> Tensor:
        """What is added to a variance before dividing by it, a float64 scalar."""
        mean = self.values.mean() if self.rank else self.rest.double()
        return (RIDGE * mean).clamp(min=LEAST)

    def state_dict(self) -> State:
        return {"mean": self.mean, "factor": self.factor, "rest": self.rest}

    def moments(self, features: Tensor) -> Moments:
        """Of features (n, d), n ≥ 1, unbiased."""
        x = features.double()
        mean, axes = x.mean(0), self.axes.to(x.device)
        centred, freedom = x - mean, max(len(x) - 1, 1)
        z = centred @ axes.T
        other = x.shape[1] - self.rank
        outside = (centred.square().sum() - z.square().sum()).clamp(min=0)
        return Moments(mean, z.T @ z / freedom, outside / (freedom * max(other, 1)))

    def distance(self, features: Tensor) -> float:
        """W₂² of features (n, d) to the anchor, ≥ 0."""
        own, mean = self.moments(features.cpu()), self.mean.double()
        off = (own.mean - mean).square().sum()
        inside = gaussian.squared_distance(
            gaussian.GaussianFit(np.zeros(self.rank), _root(own.inner, 0.5).numpy()),
            gaussian.GaussianFit(np.zeros(self.rank), self.values.sqrt().diag().numpy()),
        )
        others = len(mean) - self.rank
        outside = others * (own.rest.sqrt() - self.rest.double().sqrt()).square()
        return float(off) + inside + float(outside)

    def transport(self, features: Tensor) -> Tensor:
        """features (n, d), float64, after the affine map that gives them the anchor's moments."""
        own, axes = self.moments(features), self.axes.to(features.device)
        values, rest = self.values.to(features.device), self.rest.double().to(features.device)
        ridge = self.ridge.to(features.device)
        inner = own.inner + ridge * torch.eye(self.rank, dtype=torch.float64, device=features.device)
        half, inverse = _root(inner, 0.5), _root(inner, -0.5)
        map_ = inverse @ _root(half @ (values + ridge).diag() @ half, 0.5) @ inverse
        centred = features.double() - own.mean
        z = centred @ axes.T
        outside = (centred - z @ axes) * ((rest + ridge) / (own.rest + ridge)).sqrt()
        return self.mean.double().to(features.device) + z @ map_ @ axes + outside

    def choose(self, features: Tensor, n: int) -> Tensor:
        """Indices (n,), ascending, of the rows of features (N, d), N ≥ n, whose moments together come closest
        to the anchor: the first n, improved by swaps. Computed where features lie."""
        if n in (0, len(features)):
            return torch.arange(n)
        embedding = _Embedding(self, features)
        inside = torch.zeros(len(features), dtype=torch.bool, device=features.device)
        inside[:n] = True
        never = torch.tensor(torch.inf, dtype=torch.float64, device=features.device)
        total, pull = embedding.sums(inside), 2 * n * embedding.pull
        for _ in range(10 * n):
            leave = int(torch.where(inside, 2 * total - embedding.norm - pull, -never).argmax())
            left = total - embedding.row(leave)
            cost = 2 * left + embedding.norm - pull
            enter = int(torch.where(inside, never, cost).argmin())
            gain, scale = float(cost[leave] - cost[enter]), float(cost[leave].abs())
            if gain <= 1e-12 * scale:
                break
            inside[leave], inside[enter] = False, True
            total = left + embedding.row(enter)
        return inside.nonzero().flatten().cpu()

    def log_density(self, features: Tensor) -> Tensor:
        """log N(f; μ, Σ) up to a constant, (n,), of features (n, d); differentiable in them."""
        delta = features - self.mean.to(features)
        z = delta @ self.axes.to(features).T
        values, ridge = self.values, self.ridge
        inside = (z.square() / (values + ridge).to(features)).sum(1)
        if self.rank == len(self.mean):
            return -inside / 2
        outside = (delta.square().sum(1) - z.square().sum(1)) / (self.rest.double() + ridge).to(features)
        return -(inside + outside) / 2

    def effective_share(self, features: Tensor) -> float:
        """How many of features (N, d), taken as drawn from the Gaussian with their moments, importance
        weights to the anchor would keep, as a share of N: (Σw)² / (N Σw²), in the leading directions; 1
        where moments agree.

        The acceptance rate of filtering by density ratio; it falls fast with dimensions and drift."""
        if not self.rank:
            return 1.0
        z = (features.double().cpu() - self.mean.double()) @ self.axes.T
        fitted = Anchor.of(z, self.rank)
        flat = Anchor(torch.zeros(self.rank), self.values.sqrt().diag(), torch.zeros(()))
        log = (flat.log_density(z) - fitted.log_density(z)).double()
        weights = (log - log.max()).exp()
        return float(weights.sum().square() / (len(weights) * weights.square().sum()))


class _Embedding:
    """Candidates under the kernel of the choice, with respect to `anchor`. norm: k(f, f). pull: the inner
    product of a candidate with the anchor's own embedding."""

    def __init__(self, anchor: Anchor, features: Tensor) -> None:
        values = anchor.values.to(features.device)
        padded = values + anchor.ridge.to(features.device)
        self.delta = features.double() - anchor.mean.double().to(features.device)
        z = self.delta @ anchor.axes.to(features.device).T
        self.u = z / padded**0.25
        target = (features.shape[1] - anchor.rank) * anchor.rest.double().to(features.device)
        outside = (self.delta.square().sum(1) - z.square().sum(1)).clamp(min=0)
        known = target > 0
        self.outside = torch.where(known, outside / (2 * target.sqrt().clamp(min=1e-30)), 0 * outside)
        self.norm = self.delta.square().sum(1) + self.u.square().sum(1).square() / 4 + self.outside.square()
        self.pull = (z.square() * (values / padded)).sum(1) / 4
        self.pull += torch.where(known, outside / 4, 0 * outside)

    def row(self, i: int) -> Tensor:
        """k(f, f_i) for all candidates f."""
        return self.delta @ self.delta[i] + (self.u @ self.u[i]).square() / 4 + self.outside * self.outside[i]

    def sums(self, inside: Tensor) -> Tensor:
        """Σ k(f, f′) over the candidates f′ that are `inside` (mask), for all candidates f."""
        u = self.u[inside]
        quadratic = ((self.u @ (u.T @ u)) * self.u).sum(1) / 4
        return self.delta @ self.delta[inside].sum(0) + quadratic + self.outside * self.outside[inside].sum()


def _root(matrix: Tensor, power: float) -> Tensor:
    """A symmetric matrix without negative eigenvalues to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=0 if power > 0 else torch.finfo(values.dtype).tiny)
    return (vectors * values**power) @ vectors.T
