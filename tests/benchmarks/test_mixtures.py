"""Mixtures, two moons and linear regression: drawn data have the law that they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.law import LinearLaw, MixtureLaw
from cl_bench.metrics.modes import modes
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.stream import TaskStream

PLANE = {"gmm2": 2, "gmm5": 5, "eight-gaussians": 8}


def stream(name: str, **options: object) -> TaskStream:
    cls: Any = benchmarks.get(name)
    return cls(build_options(cls.Options, options, name)).build()


@pytest.mark.parametrize(("name", "k"), PLANE.items())
def test_samples_come_from_their_mixture(name: str, k: int) -> None:
    made = stream(name, n=20_000)
    law, x = made.law, made.tasks[0].train.x.double()
    assert isinstance(law, MixtureLaw)
    centres, sigma = law.centres[0], law.covariances[0, 0, 0, 0].sqrt().item()
    assert len(centres) == k
    found = modes(x.numpy(), centres.numpy(), sigma)
    n = len(x)
    assert abs(found.high_quality - found.expected) < 5 * math.sqrt(0.011 / n)
    assert abs(2 * n * found.kl - (k - 1)) < 5 * math.sqrt(2 * (k - 1))
    assert (abs(found.spread - 1) < 5 * math.sqrt(k / n)).all()
    variance = law.covariance[0].diagonal()
    assert ((x.mean(0) - law.mean[0]).abs() < 5 * (variance / n).sqrt()).all()
    assert ((x.var(0) / variance - 1).abs() < 5 * math.sqrt(2 / n)).all()


def test_where_the_modes_are() -> None:
    five = stream("gmm5", n=10).law
    assert isinstance(five, MixtureLaw)
    assert five.centres[0, 0].tolist() == [2, 0]
    assert five.centres[0, 1].tolist() == pytest.approx([0.618034, 1.902113], abs=1e-6)
    assert torch.allclose(five.covariances, 0.09 * torch.eye(2, dtype=torch.float64))
    eight = stream("eight-gaussians", n=10).law
    assert isinstance(eight, MixtureLaw)
    assert eight.centres[0].norm(dim=1).tolist() == pytest.approx([5] * 8)
    assert eight.covariances[0, 0, 0, 0].item() == pytest.approx(math.sqrt(0.1))
    assert stream("gmm2", n=10, sigma=0.1).law.covariances[0, 1, 1, 1].item() == pytest.approx(0.01)  # type: ignore[union-attr]


def test_two_moons_are_half_circles_of_radius_three() -> None:
    made = stream("two-moons", n=4000, sigma=0.0)
    assert made.law is None
    x = made.tasks[0].train.x.numpy()
    upper = np.linalg.norm(x - [-1, -1], axis=1)
    lower = np.linalg.norm(x - [2, 0.5], axis=1)
    assert np.minimum(abs(upper - 3), abs(lower - 3)).max() < 1e-5
    noisy = stream("two-moons", n=4000).tasks[0].train.x.numpy()
    assert abs((noisy - x).mean()) < 0.2, "the noise has mean 0; angles are shuffled alike or not"
    assert noisy.var() > x.var()


def test_replicas_are_independent_draws() -> None:
    for name in ("gmm5", "two-moons", "linear:2"):
        x = stream(name, n=50, replicas=3).tasks[0].train.x
        assert x.shape == (50, 3, 3 if name == "linear:2" else 2)
        assert not torch.equal(x[:, 0], x[:, 1])


def test_a_linear_benchmark_has_its_weights_and_noise() -> None:
    n = 20_000
    made = stream("linear:4", n=n, noise=0.5)
    law, xy = made.law, made.tasks[0].train.x.double()
    assert isinstance(law, LinearLaw)
    x, residual = xy[:, :4], xy[:, 4] - xy[:, :4] @ law.weights[0]
    assert law.weights.norm().item() == pytest.approx(1)
    assert abs(residual.var().item() / 0.25 - 1) < 5 * math.sqrt(2 / n)
    assert ((x.T @ residual / n).abs() < 5 * 0.5 / math.sqrt(n)).all()
    with pytest.raises(UserError, match="number of inputs"):
        stream("linear:0")
