"""Fréchet distance and label matrix beside what a user would otherwise run, in one process, run alternately.

By hand on a quiet machine: `OMP_NUM_THREADS=1 uv run pytest -m perf -s tests/perf/test_frechet_speed.py`.

Rivals, written here after the public algorithms because the packages do not run with this SciPy or are not
installed:
- pytorch-fid's formula: mean and `np.cov` of each set, `scipy.linalg.sqrtm` of the product of the covariances.
- microsoft/otdd's label matrix, `inner_ot_method='gaussian_approx'`, `sqrt_method='spectral'`, in float64: roots
  of one side's d × d covariances by eigendecomposition, then for every pair the root of S₁^½ S₂ S₁^½ by another.
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


def test_fewer_samples_than_dimensions(d: int = 2048, n: int = 1000, limit: float = 20) -> None:
    x, y = features(0, n, d), features(1, n, d)
    theirs, ours = seconds(
        lambda: by_matrix_root(statistics(x), statistics(y)), lambda: gaussian.frechet_distance(x, y)
    )
    report(f"Fréchet d={d} n={n}", theirs, ours, limit)


def test_more_samples_with_cached_real_statistics(d: int = 2048, n: int = 5000, limit: float = 4) -> None:
    x, y = features(0, n, d), features(1, n, d)
    real, fitted = statistics(x), gaussian.fit(x)
    theirs, ours = seconds(
        lambda: by_matrix_root(real, statistics(y)),
        lambda: gaussian.squared_distance(fitted, gaussian.fit(y)),
    )
    report(f"Fréchet d={d} n={n}, real cached", theirs, ours, limit)
    assert gaussian.squared_distance(fitted, gaussian.fit(y)) == pytest.approx(
        by_matrix_root(real, statistics(y)), rel=1e-5
    )


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


def test_label_matrix(k: int = 20, d: int = 512, per_class: int = 50, limit: float = 100) -> None:
    a, b = ([features(side * k + c, per_class, d) for c in range(k)] for side in (0, 1))
    tensors = [[torch.from_numpy(x) for x in side] for side in (a, b)]
    results = {}
    theirs, ours = seconds(
        lambda: results.update(theirs=by_pairs(*tensors)),
        lambda: results.update(
            ours=gaussian.distance_matrix([gaussian.fit(x) for x in a], [gaussian.fit(x) for x in b])
        ),
        rounds=1,
    )
    report(f"label matrix k={k} d={d}, {per_class} a class", theirs, ours, limit)
    assert results["ours"] == pytest.approx(results["theirs"].numpy(), rel=1e-6)
