"""How much of a fake set lies in the real one, and how much of that it reaches, by nearest neighbours.

Around each sample lies a ball through its k-th nearest other sample of its own set.
- precision and recall (T. Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative
  Models", NeurIPS 2019, eq. 1–2): share of fake samples in some real ball, of real samples in some fake ball.
  Balls are closed (≤), k = 3: as in the paper and in torch-fidelity ≥ 0.4; `prdc` takes < here too.
- density and coverage (M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models",
  ICML 2020, §3): real balls that a fake sample lies in, over k; share of real balls with a fake sample
  in. Balls are open (<), k = 5: as in `prdc`, the authors' code.

Real and fake sets may differ in size, and all four depend on both sizes: compare at equal ones. For two sets
of one law, whatever it is, E density = 1 and E coverage = 1 − Π_{j<k} (n − 1 − j)/(n + m − 1 − j).

Ties: "on the sphere" means up to rounding (see pairwise.py). Duplicates are neighbours like any other, so
more than k identical samples have a ball of radius zero: closed, it holds what equals them; open, nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cl_bench.metrics.pairwise import Array, Points, as_pair, blocks, nearest_squared, squared_distances


@dataclass(frozen=True)
class Neighbours:
    """precision, recall, coverage in 0…1, density ≥ 0 (1 where the laws agree, above it where fake samples
    crowd where real ones do): higher is better."""

    precision: float
    recall: float
    density: float
    coverage: float


def neighbours(real: Array, fake: Array, k_balls: int = 3, k_density: int = 5) -> Neighbours:
    """All four in one pass, of real (n, d) and fake (m, d).

    k_balls: k of precision and recall, needs n, m > k. k_density: k of density and coverage, needs n > k.
    Takes as long as the products n×n, n×m and m×m, and the memory of a copy of both sets and of some blocks.
    Raises ValueError for sets that are too small, not finite or of different d.
    """
    if min(k_balls, k_density) < 1:
        raise ValueError(f"k must be at least 1, got {k_balls} and {k_density}")
    k = max(k_balls, k_density)
    real, fake = as_pair(real, fake, at_least=(k + 1, k_balls + 1))
    n, m, centre = len(real), len(fake), real.mean(0)
    points, others = Points.about(real, centre), Points.about(fake, centre)
    nearest = nearest_squared(points, k)
    closed, open_ = nearest[:, k_balls - 1, None], nearest[:, k_density - 1, None]
    closed_fake = nearest_squared(others, k_balls)[:, -1]

    in_real = torch.zeros(m, dtype=torch.bool, device=real.device)
    in_fake, pairs, covered = torch.zeros(3, dtype=torch.int64, device=real.device)
    for rows in blocks(n, m):
        squared, slack = squared_distances(points[rows], others)
        least = squared - slack
        in_real |= (least <= closed[rows]).any(0)
        in_fake += (least <= closed_fake).any(1).sum()
        inside = squared + slack < open_[rows]
        pairs += inside.sum()
        covered += inside.any(1).sum()
    return Neighbours(
        precision=int(in_real.sum()) / m,
        recall=int(in_fake) / n,
        density=int(pairs) / (k_density * m),
        coverage=int(covered) / n,
    )
