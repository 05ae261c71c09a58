"""Closed forms of the Gaussian distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from cl_bench.metrics.gaussian import fit, frechet_distance, squared_distance


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 8)) @ np.random.default_rng(1).normal(size=(8, 8))


def test_translation_costs_its_squared_length(x: np.ndarray) -> None:
    c = np.arange(8.0)
    assert frechet_distance(x, x + c) == pytest.approx(c @ c, rel=1e-9)


def test_scaling_about_the_mean_costs_the_variance(x: np.ndarray) -> None:
    mean = x.mean(0)
    expected = (1 - 1.7) ** 2 * x.var(0, ddof=1).sum()
    assert frechet_distance(x, mean + 1.7 * (x - mean)) == pytest.approx(expected, rel=1e-9)


def test_agrees_with_the_matrix_root_where_that_is_well_posed(x: np.ndarray) -> None:
    y = np.random.default_rng(2).normal(size=(200, 8)) + 0.3
    s, t = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(s @ t).real
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_fewer_samples_than_dimensions_is_exact() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(10, 64))
    c = rng.normal(size=64)
    assert frechet_distance(x, x + c) == pytest.approx(c @ c, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_collapsed_and_single_samples_are_finite() -> None:
    x = np.zeros((5, 3))
    y = np.ones((1, 3))
    assert frechet_distance(x, y) == pytest.approx(3)


def test_bias_for_standard_normals_is_the_known_one() -> None:
    # E = (1/n + 1/m)(d + d(d+1)/4) to first order for equal N(0, I).
    rng, d, n = np.random.default_rng(4), 16, 2000
    values = [frechet_distance(rng.normal(size=(n, d)), rng.normal(size=(n, d))) for _ in range(20)]
    expected = 2 / n * (d + d * (d + 1) / 4)
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - expected) < 5 * standard_error


def test_symmetric(x: np.ndarray) -> None:
    a, b = fit(x), fit(x[:50] * 2)
    assert squared_distance(a, b) == pytest.approx(squared_distance(b, a), rel=1e-12)


@pytest.mark.parametrize("bad", [np.empty((0, 3)), np.zeros(3), np.array([[np.nan, 0.0]])])
def test_refuses_what_has_no_gaussian(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected samples|NaN"):
        fit(bad)
