"""Whether fake samples are copies of training samples.

A fake sample is authentic when it lies farther from the training sample nearest to it than that one lies from
its own nearest training sample (A. M. Alaa et al., "How Faithful is your Synthetic Data? Sample-level Metrics
for Evaluating and Auditing Generative Models", ICML 2022). AuthPct is the percentage of these (G. Stein et
al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_bench.metrics.pairwise import Array, Points, as_pair, blocks, nearest_squared, squared_distances


def auth_pct(train: Array, fake: Array) -> float:
    """Percentage of authentic samples of fake (m, d) with regard to train (n, d), 0…100; n ≥ 2, m ≥ 1.

    A copy of the training set gets 0; samples far from all training samples get 100, whatever they look like.
    New samples of the training set's law get 1 minus the chance that two nearest neighbours are each other's:
    33 on a line, 38 in the plane (Cox 1981), and more than 50 in many dimensions, where a few samples are
    nearest to many: 85 for 500 normal ones of 512 dimensions, 53 for halves of the real digits. So no level
    means anything alone. Compare with what held-out real data get: less tells of copying, more of distance.
    Neither direction is better.

    Distances that differ by rounding only are equal (see pairwise.py), and a sample at an equal distance from
    several training samples is authentic if it is so for each. Raises ValueError.
    """
    found = authentic(train, fake)
    return 100 * int(found.sum()) / len(found)


def authentic(train: Array, fake: Array) -> Tensor:
    """Which samples of fake are authentic, (m,) bool on the CPU; see `auth_pct`."""
    train, fake = as_pair(train, fake, at_least=(2, 1), names=("train", "fake"))
    centre = train.mean(0)
    points, others = Points.about(train, centre), Points.about(fake, centre)
    own = nearest_squared(points, 1)[:, 0]

    found = []
    for rows in blocks(len(others), len(points)):
        squared, slack = squared_distances(others[rows], points)
        nearest = (squared + slack).amin(1, keepdim=True)
        tied = squared - slack <= nearest
        found.append(((squared - slack > own) | ~tied).all(1).cpu())
    return torch.cat(found)
