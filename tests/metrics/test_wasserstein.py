"""Closed forms of Wasserstein distances, and agreement with other solvers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from cl_bench.metrics.wasserstein import (
    fitted_squared_w2_to_normal,
    sliced_squared_w2,
    squared_distances,
    squared_w2,
    squared_w2_to_normal,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_exact_is_the_best_assignment(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 6, 3))
    best = min(np.square(x - y[list(order)]).sum(1).mean() for order in itertools.permutations(range(6)))
    assert squared_w2(x, y) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("d", [1, 5])
def test_translation_costs_its_squared_length_whatever_the_offset(rng: np.random.Generator, d: int) -> None:
    x, c = rng.normal(size=(50, d)), rng.normal(size=d)
    assert squared_w2(x, x + c) == pytest.approx(c @ c, rel=1e-9)
    assert squared_w2(x + 1e6, x + 1e6 + c) == pytest.approx(c @ c, rel=1e-6)


def test_scaling_costs_the_mean_square(rng: np.random.Generator) -> None:
    # x → s x is monotone, hence optimal: (1 − s)² mean ‖x‖².
    x = rng.normal(size=(50, 4))
    assert squared_w2(x, 1.4 * x) == pytest.approx(0.16 * np.square(x).sum(1).mean(), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 25), (30, 20), (1, 7)])
def test_the_line_sorted_agrees_with_the_simplex(rng: np.random.Generator, n: int, m: int) -> None:
    x, y = rng.normal(size=(n, 1)), rng.normal(size=(m, 1)) + 0.5
    # A second, constant coordinate sends the same sets to the simplex.
    plane = squared_w2(np.pad(x, [(0, 0), (0, 1)]), np.pad(y, [(0, 0), (0, 1)]))
    assert squared_w2(x, y) == pytest.approx(plane, rel=1e-10)


def test_copies_of_samples_change_nothing(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(15, 3))
    assert squared_w2(np.repeat(x, 3, axis=0), y) == pytest.approx(squared_w2(x, y), rel=1e-10)
    assert squared_w2(x, x[::-1].copy()) == 0
    assert squared_w2(np.zeros((5, 3)), np.ones((2, 3))) == pytest.approx(3)


def test_distances_keep_their_digits_far_from_the_origin(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 10, 8))
    expected = np.square(x[:, None] - y).sum(-1)
    for offset, rel in ((0, 1e-12), (1e6, 1e-8)):
        ours = squared_distances(torch.from_numpy(x + offset), torch.from_numpy(y + offset))
        assert ours.numpy() == pytest.approx(expected, rel=rel)


def test_sliced_in_one_dimension_is_exact_and_that_of_gaussians(rng: np.random.Generator) -> None:
    x, y = 1 + 2 * rng.normal(size=(20_000, 1)), -0.5 + 0.7 * rng.normal(size=(20_000, 1))
    value = sliced_squared_w2(x, y, projections=3)
    assert value == pytest.approx(squared_w2(x, y), rel=1e-12)
    # (μ₁ − μ₂)² + (σ₁ − σ₂)². Its standard error is 2 · 1.5 · √(4.49 / 20,000) = 0.045 from the means and
    # less from the deviations.
    assert value == pytest.approx(1.5**2 + 1.3**2, abs=5 * 2 * 0.045)


def test_sliced_translation_costs_a_share_of_one_dimension(rng: np.random.Generator) -> None:
    # E ⟨θ, c⟩² = ‖c‖²/d with variance 2 (d − 1)/(d² (d + 2)) ‖c‖⁴.
    d, count = 6, 2000
    x, c = rng.normal(size=(30, d)), rng.normal(size=d)
    error = np.sqrt(2 * (d - 1) / (d**2 * (d + 2)) / count)
    assert abs(sliced_squared_w2(x, x + c, projections=count) / (c @ c) - 1 / d) < 5 * error


def test_sliced_is_below_exact_symmetric_and_repeats(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(33, 5)) * 2
    value = sliced_squared_w2(x, y, seed=3)
    assert 0 < value < squared_w2(x, y)
    assert value == sliced_squared_w2(x, y, seed=3)
    assert value != sliced_squared_w2(x, y, seed=4)
    assert value == pytest.approx(sliced_squared_w2(y, x, seed=3), rel=1e-12)
    assert value == pytest.approx(
        sliced_squared_w2(torch.from_numpy(x), torch.from_numpy(y), seed=3), rel=1e-12
    )


def test_sliced_agrees_with_pot(rng: np.random.Generator) -> None:
    import ot

    x, y = rng.normal(size=(40, 5)), rng.normal(size=(33, 5)) * 2
    theirs = ot.sliced_wasserstein_distance(x, y, n_projections=4000, seed=1) ** 2
    assert sliced_squared_w2(x, y, projections=4000) == pytest.approx(theirs, rel=0.05)


def test_sliced_in_blocks_is_the_same(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rng.normal(size=(2, 20, 5))
    whole = sliced_squared_w2(x, y, projections=50)
    monkeypatch.setattr("cl_bench.metrics.wasserstein._BLOCK", 7 * 40)
    assert sliced_squared_w2(x, y, projections=50) == pytest.approx(whole, rel=1e-12)


def test_to_a_normal_law_is_the_integral_of_the_quantiles(rng: np.random.Generator) -> None:
    x = rng.normal(size=7)
    mean, std = 0.4, 1.3
    expected = sum(
        integrate.quad(lambda u, v=v: (v - stats.norm.ppf(u, mean, std)) ** 2, i / 7, (i + 1) / 7)[0]
        for i, v in enumerate(np.sort(x))
    )
    assert squared_w2_to_normal(x, mean, std) == pytest.approx(expected, rel=1e-6)


def test_one_point_to_a_normal_law_and_samples_to_a_point() -> None:
    assert squared_w2_to_normal(np.array([3.0]), 1.0, 2.0) == pytest.approx(4 + 4)
    assert squared_w2_to_normal(np.array([3.0, 5.0]), 1.0, 0.0) == pytest.approx((4 + 16) / 2)


def test_to_its_own_normal_law_falls_with_n_and_a_wrong_one_has_its_closed_form(
    rng: np.random.Generator,
) -> None:
    values = [squared_w2_to_normal(2 + 3 * rng.normal(size=n), 2, 3) for n in (100, 10_000, 1_000_000)]
    assert values[0] > values[1] > values[2] > 0
    assert values[2] < 1e-3
    x = torch.from_numpy(rng.normal(size=(1_000_000, 1)))
    # 1² + (1 − 0.5)²; the standard error is below 0.003.
    assert squared_w2_to_normal(x, 1.0, 0.5) == pytest.approx(1.25, abs=0.015)


def test_fitted_to_a_normal_law_has_its_closed_form(rng: np.random.Generator) -> None:
    x = rng.normal(size=(200, 3))
    mean, covariance = x.mean(0), np.cov(x.T)
    c = np.array([1.0, -2.0, 0.5])
    assert fitted_squared_w2_to_normal(x, mean, covariance) == pytest.approx(0, abs=1e-9)
    assert fitted_squared_w2_to_normal(x, mean + c, covariance) == pytest.approx(c @ c, rel=1e-9)
    assert fitted_squared_w2_to_normal(x, mean, 4 * covariance) == pytest.approx(
        np.trace(covariance), rel=1e-9
    )
    # To a point: ‖m − p‖² + tr S. A singular covariance is no trouble.
    assert fitted_squared_w2_to_normal(x, mean + c, np.zeros((3, 3))) == pytest.approx(
        c @ c + np.trace(covariance), rel=1e-9
    )


def test_fitted_to_its_own_law_is_that_of_sampled_moments(rng: np.random.Generator) -> None:
    # To first order E = (d + d (d + 1)/4) / n for N(0, I): one side of the two in FID's bias.
    d, n = 4, 2000
    values = [fitted_squared_w2_to_normal(rng.normal(size=(n, d)), np.zeros(d), np.eye(d)) for _ in range(50)]
    error = np.std(values, ddof=1) / np.sqrt(50)
    assert abs(np.mean(values) - (d + d * (d + 1) / 4) / n) < 5 * error


X = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squared_w2(X[:0], X), "need at least 1|expected features"),
        (lambda: squared_w2(X, np.full((2, 2), np.nan)), "NaN"),
        (lambda: squared_w2(X, X[:, :1]), "2 and 1 dimensions"),
        (lambda: squared_w2(X[0], X), "shape"),
        (lambda: sliced_squared_w2(X, X, projections=0), "at least 1"),
        (lambda: sliced_squared_w2(X, X[:, :1]), "2 and 1 dimensions"),
        (lambda: squared_w2_to_normal(X, 0, 1), "1-D"),
        (lambda: squared_w2_to_normal(X[:, 0], 0, -1), "std ≥ 0"),
        (lambda: squared_w2_to_normal(X[:0, 0], 0, 1), "need at least 1|expected features"),
        (lambda: fitted_squared_w2_to_normal(X, np.zeros(3), np.eye(3)), "expected mean"),
        (lambda: fitted_squared_w2_to_normal(X, np.zeros(2), -np.eye(2)), "positive semi-definite"),
        (lambda: fitted_squared_w2_to_normal(X, np.zeros(2), np.full((2, 2), np.nan)), "NaN"),
    ],
)
def test_refuses_what_has_no_distance(call: Callable[[], float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
