"""Fréchet distance and label matrix beside what a user would otherwise run, in one process, run alternately.

By hand on a quiet machine: `OMP_NUM_THREADS=1 uv run pytest -m perf -s tests/perf/test_frechet_speed.py`.

Rivals, written here after the public algorithms, as neither package runs in this environment:
- pytorch-fid's formula: means, `np.cov`, and `scipy.linalg.sqrtm` of the product of the covariances.
- microsoft/otdd's label matrix (`gaussian_approx` with the spectral root) in float64: the root of each d × d
  covariance of one side by eigendecomposition, then for every pair that of S₁^½ S₂ S₁^½ by another.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import linalg

from cl_bench.metrics import gaussian

pytestmark = pytest.mark.perf


def seconds(*contenders: Callable[[], object], rounds: int = 2) -> list[float]:
    """Each contender's best time, by turns."""
    best = [float("inf")] * len(contenders)
    for _ in range(rounds):
        for i, run in enumerate(contenders):
            start = time.perf_counter()
            run()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def report(what: str, theirs: float, ours: float, limit: float) -> None:
    print(f"\n{what}: rival {theirs:.3f} s, ours {ours:.3f} s, {theirs / ours:.1f} times (limit {limit})")
    assert theirs >= limit * ours


def features(seed: int, n: int, d: int) -> np.ndarray:
    """Correlated and rectified, as a network's are: variances fall as 1/i."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, d + 1.0) ** -0.5
    return np.maximum((rng.normal(size=(n, d)) * spread) @ rng.normal(size=(d, d)) / d**0.5 + 0.05, 0)


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(0), np.cov(x, rowvar=False)


def by_matrix_root(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    (m, s), (n, t) = first, second
    return float((m - n) @ (m - n) + np.trace(s) + np.trace(t) - 2 * np.trace(linalg.sqrtm(s @ t).real))


def test_fewer_samples_than_dimensions() -> None:
    x, y = features(0, 1000, 2048), features(1, 1000, 2048)
    theirs, ours = seconds(
        lambda: by_matrix_root(statistics(x), statistics(y)), lambda: gaussian.frechet_distance(x, y)
    )
    report("Fréchet, d=2048, n=1000", theirs, ours, 20)


def test_more_samples_with_cached_real_statistics() -> None:
    x, y = features(0, 5000, 2048), features(1, 5000, 2048)
    real, fitted = statistics(x), gaussian.fit(x)
    values = []
    theirs, ours = seconds(
        lambda: values.append(by_matrix_root(real, statistics(y))),
        lambda: values.append(gaussian.distance_to(fitted, y)),
    )
    report("Fréchet, d=2048, n=5000, real cached", theirs, ours, 4)
    assert values == pytest.approx([values[0]] * len(values), rel=1e-6)


def spectral_root(s: torch.Tensor) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(s)
    keep = values > values.max() * len(values) * torch.finfo(s.dtype).eps
    return vectors @ torch.diag(torch.where(keep, values, 0).sqrt()) @ vectors.T


def by_pairs(a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    means = [[x.mean(0) for x in side] for side in (a, b)]
    covariances = [[torch.cov(x.T) for x in side] for side in (a, b)]
    matrix = torch.zeros(len(a), len(b), dtype=torch.float64)
    for i, (m, s) in enumerate(zip(means[0], covariances[0], strict=True)):
        root = spectral_root(s)
        for j, (n, t) in enumerate(zip(means[1], covariances[1], strict=True)):
            cross = spectral_root(root @ t @ root)
            matrix[i, j] = ((m - n) ** 2).sum() + (s + t - 2 * cross).trace()
    return matrix


def test_label_matrix() -> None:
    k = 20
    a, b = ([features(side * k + c, 50, 512) for c in range(k)] for side in (0, 1))
    tensors = [[torch.from_numpy(x) for x in side] for side in (a, b)]
    matrices = []
    theirs, ours = seconds(
        lambda: matrices.append(by_pairs(*tensors).numpy()),
        lambda: matrices.append(gaussian.distance_matrix([*map(gaussian.fit, a)], [*map(gaussian.fit, b)])),
        rounds=1,
    )
    report("label matrix, k=20, d=512, 50 a class", theirs, ours, 100)
    assert matrices[1] == pytest.approx(matrices[0], rel=1e-6)
