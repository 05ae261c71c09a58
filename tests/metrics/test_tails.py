"""Tail mass of Gaussians against its closed form, and coverage of categories against the binomial law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from cl_bench.metrics.tails import category_coverage, tail_mass

# Normal quantiles: a real set whose empirical quantiles are the law's.
N = 100_000
REAL = norm.ppf(np.arange(1, N + 1) / (N + 1))


@pytest.mark.parametrize("s", [0.5, 0.8, 1.0, 1.3])
def test_a_gaussian_of_another_spread(s: float) -> None:
    m = 100_000
    found = tail_mass(REAL, s * np.random.default_rng(0).normal(size=m))
    share = norm.cdf(norm.ppf(0.01) / s)
    error = np.sqrt(share * (1 - share) / m) / 0.01
    assert abs(found.left[0] - share / 0.01) < 5 * error
    assert abs(found.right[0] - share / 0.01) < 5 * error
    assert abs(found.both[0] - share / 0.01) < 5 * error / np.sqrt(2)


def test_a_shift_empties_one_tail_and_fills_the_other() -> None:
    m = 20_000
    found = tail_mass(REAL, np.random.default_rng(1).normal(1, 1, m))
    left, right = norm.cdf(norm.ppf(0.01) - 1), norm.sf(norm.ppf(0.99) - 1)
    assert abs(found.left[0] * 0.01 - left) < 5 * np.sqrt(left / m)
    assert abs(found.right[0] * 0.01 - right) < 5 * np.sqrt(right / m)
    assert found.both == pytest.approx((found.left + found.right) / 2)


@pytest.mark.parametrize("n", [100, 150, 999, 1000])
def test_a_second_real_set_has_one_on_average(n: int) -> None:
    rng, trials = np.random.default_rng(n), 2000
    found = tail_mass(rng.exponential(size=(n, trials)), rng.exponential(size=(n, trials)))
    j = n // 100
    for ratios in (found.left, found.right, found.both):
        assert abs(ratios.mean() - 1) < 5 * ratios.std() / np.sqrt(trials)
    assert found.left.std() == pytest.approx(np.sqrt(1 / j + 100 / n), rel=0.25)


def test_the_same_set_has_one_and_a_collapsed_one_has_none() -> None:
    x = np.random.default_rng(2).normal(size=(500, 3))
    assert tail_mass(x, x).both.tolist() == [1, 1, 1]
    assert tail_mass(x, np.zeros((9, 3))).both.tolist() == [0, 0, 0]


def test_features_are_judged_one_by_one_and_averaged_where_there_are_tails() -> None:
    rng = np.random.default_rng(3)
    real, synthetic = rng.normal(size=(2, 400, 3)) * [1, 1, 0]
    found = tail_mass(real, synthetic * [1, 0, 0])
    assert found.both[0] > 0
    assert found.both[1] == 0
    assert np.isnan(found.both[2])
    assert found.mean == pytest.approx(found.both[0] / 2)


def test_a_common_lowest_value_is_no_tail() -> None:
    # Half of the values 0: nothing lies below the 1 % quantile; above the 99 % quantile there is a tail.
    x = np.concatenate([np.zeros(500), np.linspace(1, 2, 500)])
    found = tail_mass(x, x)
    assert np.isnan(found.left[0])
    assert found.right[0] == found.both[0] == 1


def test_one_value_in_the_tail_is_enough() -> None:
    # 1/49 · 49 is a little less than 1 in floating point.
    x = np.arange(49.0)
    assert tail_mass(x, x, share=1 / 49).both.tolist() == [1]
    assert tail_mass(x, np.array([-1.0, 20.0]), share=1 / 49).left == pytest.approx([49 / 2])


def test_degenerate_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="need 100 real values, got 99"):
        tail_mass(np.arange(99.0), np.arange(99.0))
    with pytest.raises(ValueError, match="not empty"):
        tail_mass(REAL, REAL[:0])
    with pytest.raises(ValueError, match="NaN"):
        tail_mass(REAL, np.array([np.nan]))
    with pytest.raises(ValueError, match="differ in width"):
        tail_mass(REAL, np.zeros((5, 2)))
    with pytest.raises(ValueError, match="between 0 and ½"):
        tail_mass(REAL, REAL, share=0.5)
    with pytest.raises(ValueError, match="no feature has tails"):
        _ = tail_mass(np.zeros(200), np.zeros(5)).mean


def test_categories_by_hand() -> None:
    found = category_coverage(np.array([4, 4, 4, 9, 9, 1]), np.array([4, 1, 7]))
    assert found.covered_mass == pytest.approx(4 / 6)
    assert found.lost_mass == pytest.approx(2 / 6)
    assert found.kept == pytest.approx(2 / 3)
    assert found.lost.tolist() == [9]


def test_draws_from_a_zipf_law_cover_what_the_binomial_law_says() -> None:
    counts = np.ceil(1000 / np.arange(1, 201)).astype(int)
    real = np.repeat(np.arange(200), counts)
    p, m, rng = counts / counts.sum(), 500, np.random.default_rng(4)
    found = np.array([category_coverage(real, rng.choice(real, m)).covered_mass for _ in range(300)])
    expected = (p * (1 - (1 - p) ** m)).sum()
    assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(300)
    assert expected < 0.95


def test_empty_categories_are_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        category_coverage(np.array([1]), np.array([]))
