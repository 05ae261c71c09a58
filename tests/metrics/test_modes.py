"""Modes of mixtures: closed forms for true samples, lost modes, collapse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from cl_bench.metrics.modes import high_quality_share, kept_variance, modes

ANGLES = 2 * np.pi * np.arange(5) / 5
CENTRES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
STD = 0.2


def draw(n: int, weights: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return CENTRES[rng.choice(5, n, p=weights)] + STD * rng.normal(size=(n, 2))


def test_true_samples_within_three_standard_deviations() -> None:
    n, share = 50_000, 1 - math.exp(-9 / 2)
    found = modes(draw(n), CENTRES, STD)
    assert found.expected == pytest.approx(share, rel=1e-12)
    assert abs(found.high_quality - share) < 5 * math.sqrt(share * (1 - share) / n)
    assert found.captured == found.covered() == 1


@pytest.mark.parametrize("d", [1, 2, 7])
def test_share_in_the_ball_is_the_chi_square_law(d: int) -> None:
    assert high_quality_share(d, 2.5) == pytest.approx(chi2.cdf(2.5**2, d), rel=1e-12)
    x = np.random.default_rng(d).normal(size=(20_000, d)) * 3 + 1
    found = modes(x, np.ones((1, d)), 3, radius=2.5)
    assert abs(found.high_quality - found.expected) < 5 * math.sqrt(0.25 / 20_000)


def test_divergence_of_true_samples_is_that_of_multinomial_counts() -> None:
    # 2n KL is χ² with k − 1 degrees of freedom for large n.
    n, trials = 2000, 100
    values = np.array([2 * n * modes(draw(n, seed=r), CENTRES, STD).kl for r in range(trials)])
    assert abs(values.mean() - 4) < 5 * math.sqrt(8 / trials)


def test_a_lost_mode() -> None:
    samples = np.repeat(CENTRES[:4], 25, axis=0)
    found = modes(samples, CENTRES, STD)
    assert found.captured == found.covered() == pytest.approx(0.8)
    assert found.high_quality == 1
    assert found.total_variation == pytest.approx(0.2)
    assert found.kl == pytest.approx(math.log(5 / 4))


def test_all_in_one_mode_and_all_between_modes() -> None:
    collapsed = modes(np.repeat(CENTRES[:1], 7, axis=0), CENTRES, STD)
    assert collapsed.captured == pytest.approx(0.2)
    assert collapsed.kl == pytest.approx(math.log(5))
    between = modes(np.zeros((7, 2)), CENTRES, STD)
    assert between.high_quality == between.captured == between.covered() == 0
    assert math.isfinite(between.kl)


def test_one_stray_sample_captures_a_mode_but_does_not_cover_it() -> None:
    samples = np.concatenate([np.repeat(CENTRES[:4], 250, axis=0), CENTRES[4:]])
    found = modes(samples, CENTRES, STD)
    assert (found.captured, found.covered()) == (1, pytest.approx(0.8))
    # One of 0.0999 · 1001 · 0.98889 …: enough when a two-hundredth is asked.
    assert found.covered(least=0.005) == 1


def test_weights_are_what_the_histogram_is_compared_with() -> None:
    weights = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    samples = draw(20_000, weights)
    assert modes(samples, CENTRES, STD, weights).total_variation < 0.02
    assert modes(samples, CENTRES, STD).total_variation == pytest.approx(0.3, abs=0.02)
    assert modes(samples, CENTRES, STD).kl == pytest.approx((weights * np.log(5 * weights)).sum(), abs=0.03)


def test_each_mode_has_its_own_standard_deviation() -> None:
    # 1.0 from a wide mode, 0.9 from a narrow one: near to the wide one in its own units.
    found = modes(np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [1.9, 0.0]]), np.array([0.5, 0.1]))
    assert found.good.tolist() == [1, 0]
    assert found.histogram.tolist() == [1, 0]


def test_degenerate_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        modes(np.empty((0, 2)), CENTRES, STD)
    with pytest.raises(ValueError, match="NaN"):
        modes(np.full((3, 2), np.nan), CENTRES, STD)
    with pytest.raises(ValueError, match=r"\(n, d\) and \(k, d\)"):
        modes(np.zeros((3, 3)), CENTRES, STD)
    with pytest.raises(ValueError, match="std > 0"):
        modes(np.zeros((3, 2)), CENTRES, 0)
    with pytest.raises(ValueError, match="sum to 1"):
        modes(np.zeros((3, 2)), CENTRES, STD, np.ones(5))


@pytest.mark.parametrize(("d", "radius"), [(1, 3.0), (2, 3.0), (2, 1.5), (5, 2.0)])
def test_variance_within_a_radius(d: int, radius: float) -> None:
    n = 200_000
    x = np.random.default_rng(d).normal(size=(n, d))
    kept = x[(x**2).sum(1) <= radius**2]
    # A square's variance is at most 2, the mean over coordinates' no larger.
    assert abs((kept**2).mean() - kept_variance(d, radius)) < 5 * math.sqrt(2 / len(kept))


def test_spread_is_one_for_true_samples_and_scales_as_the_variance() -> None:
    n = 20_000
    true = modes(draw(n), CENTRES, STD).spread
    # Var of a variance estimate: 2σ⁴/n at most, halved over two coordinates, n/5 samples a mode.
    assert (abs(true - 1) < 5 * math.sqrt(1 / (n / 5))).all()
    rng = np.random.default_rng(0)
    label = rng.choice(5, n)
    narrow = modes(CENTRES[label] + 0.3 * STD * rng.normal(size=(n, 2)), CENTRES, STD).spread
    assert narrow * kept_variance(2) == pytest.approx(np.full(5, 0.09), rel=0.1)
    assert np.isnan(modes(CENTRES[:1], CENTRES, STD).spread).all()
