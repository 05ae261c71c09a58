"""Closed forms of precision, recall, density and coverage; the packages that users know; ties, duplicates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cl_bench.metrics import pairwise
from cl_bench.metrics.neighbours import Neighbours, neighbours


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(120, 6)), 0.9 * rng.normal(size=(90, 6)) + 0.2


@pytest.fixture
def digit_halves() -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers 0…16 in 64 dimensions: many distances are exactly equal."""
    x = load_digits().data
    order = np.random.default_rng(1).permutation(len(x))
    return x[order[:300]], x[order[300:560]]


def by_definition(real: np.ndarray, fake: np.ndarray, k_balls: int = 3, k_density: int = 5) -> Neighbours:
    """Sample by sample, from differences: exact for small whole numbers."""

    def squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.square(x[:, None] - y[None]).sum(-1)

    def radius(x: np.ndarray, k: int) -> np.ndarray:
        return np.sort(squared(x, x), axis=1)[:, k]

    cross, r3, r5, f3 = (
        squared(real, fake),
        radius(real, k_balls),
        radius(real, k_density),
        radius(fake, k_balls),
    )
    inside = cross < r5[:, None]
    return Neighbours(
        precision=(cross <= r3[:, None]).any(0).mean(),
        recall=(cross <= f3[None]).any(1).mean(),
        density=inside.sum() / (k_density * len(fake)),
        coverage=inside.any(1).mean(),
    )


def assert_same(a: Neighbours, b: Neighbours) -> None:
    for field in ("precision", "recall", "density", "coverage"):
        assert getattr(a, field) == pytest.approx(getattr(b, field), abs=1e-12), field


def test_density_and_coverage_have_their_expectation_whatever_the_law() -> None:
    n, m, k, trials = 200, 150, 5, 100
    rng = np.random.default_rng(2)
    draw = (lambda size: rng.normal(size=size), lambda size: rng.standard_cauchy(size=size))
    results = [neighbours(draw[i % 2]((n, 3)), draw[i % 2]((m, 3))) for i in range(trials)]
    coverage = 1 - math.prod((n - 1 - j) / (n + m - 1 - j) for j in range(k))
    assert coverage == pytest.approx(0.9410, abs=5e-5)
    for name, expected in (("density", 1.0), ("coverage", coverage)):
        values = np.array([getattr(r, name) for r in results])
        standard_error = values.std(ddof=1) / math.sqrt(trials)
        assert standard_error < 0.01
        assert abs(values.mean() - expected) < 5 * standard_error


def test_a_collapsed_cluster_in_a_wide_cloud_is_precise_and_recalls_little() -> None:
    rng = np.random.default_rng(3)
    result = neighbours(rng.normal(size=(400, 4)), 0.1 * rng.normal(size=(400, 4)))
    assert result.precision > 0.8
    assert result.recall < 0.3
    swapped = neighbours(0.1 * rng.normal(size=(400, 4)), rng.normal(size=(400, 4)))
    assert swapped.precision < 0.3
    assert swapped.recall > 0.8


def test_by_hand_on_a_line() -> None:
    # With k = 1, real balls are [−1, 1], [0, 2], [1, 7] and fake ones [1, 3], [2, 4], [3, 11].
    real, fake = np.array([[0.0], [1.0], [4.0]]), np.array([[2.0], [3.0], [7.0]])
    result = neighbours(real, fake, k_balls=1, k_density=1)
    # 7 is on a sphere only, and so is 1; 0 is in no fake ball. Open balls: 2 and 3 are in that of 4.
    assert result == Neighbours(precision=1.0, recall=2 / 3, density=2 / 3, coverage=1 / 3)


def test_disjoint_sets_share_nothing_and_equal_ones_everything(sets: tuple[np.ndarray, np.ndarray]) -> None:
    x, _ = sets
    assert neighbours(x, x + 1000) == Neighbours(0.0, 0.0, 0.0, 0.0)
    # Each ball holds its centre and the 4 nearest of 5: the fifth is on the sphere.
    assert neighbours(x, x) == Neighbours(1.0, 1.0, 1.0, 1.0)


def test_agrees_with_the_definition(sets: tuple[np.ndarray, np.ndarray]) -> None:
    assert_same(neighbours(*sets), by_definition(*sets))
    assert_same(neighbours(*sets, k_balls=7, k_density=2), by_definition(*sets, 7, 2))


def test_agrees_with_the_definition_where_distances_tie(digit_halves: tuple[np.ndarray, np.ndarray]) -> None:
    expected = by_definition(*digit_halves)
    assert_same(neighbours(*digit_halves), expected)
    # And still where whole numbers are no longer exact.
    real, fake = digit_halves
    assert_same(neighbours(real / 16.1 + 0.3, fake / 16.1 + 0.3), expected)


def test_agrees_with_prdc(
    sets: tuple[np.ndarray, np.ndarray], digit_halves: tuple[np.ndarray, np.ndarray]
) -> None:
    prdc = pytest.importorskip("prdc")
    for real, fake in (sets, digit_halves):
        ours, theirs = neighbours(real, fake), prdc.compute_prdc(real, fake, nearest_k=5)
        assert ours.density == pytest.approx(theirs["density"], abs=1e-12)
        assert ours.coverage == pytest.approx(theirs["coverage"], abs=1e-12)
    # Its precision and recall take <, so they agree only where nothing ties.
    real, fake = sets
    ours, theirs = neighbours(real, fake), prdc.compute_prdc(real, fake, nearest_k=3)
    assert ours.precision == pytest.approx(theirs["precision"], abs=1e-12)
    assert ours.recall == pytest.approx(theirs["recall"], abs=1e-12)


def test_agrees_with_torch_fidelity(
    sets: tuple[np.ndarray, np.ndarray], digit_halves: tuple[np.ndarray, np.ndarray]
) -> None:
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    for real, fake in (sets, digit_halves):
        # Its first input is the generated one.
        theirs = prc.prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), verbose=False)
        ours = neighbours(real, fake)
        assert ours.precision == pytest.approx(theirs["precision"], abs=1e-6)  # float32 means
        assert ours.recall == pytest.approx(theirs["recall"], abs=1e-6)


def test_duplicates_have_a_ball_of_radius_zero() -> None:
    rng = np.random.default_rng(4)
    row = rng.normal(size=(1, 50))
    constant = np.repeat(row, 8, axis=0)
    # Closed balls hold their own place, open ones nothing.
    assert neighbours(constant, constant) == Neighbours(1.0, 1.0, 0.0, 0.0)
    assert neighbours(constant, constant + 1) == Neighbours(0.0, 0.0, 0.0, 0.0)
    # Four identical ones have each other for three neighbours; the fifth is elsewhere.
    mixed = np.concatenate([np.repeat(row, 4, axis=0), rng.normal(size=(8, 50))])
    result = neighbours(mixed, constant)
    assert result.precision == 1
    assert result.recall == pytest.approx(4 / 12)
    assert result.density >= 4 / 5
    assert result.coverage >= 4 / 12


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_identical_rows_are_at_distance_zero_whatever_the_offset(offset: float) -> None:
    """The guard: the plain expansion of the distance fails this (below)."""
    rng = np.random.default_rng(5)
    real = np.repeat(rng.normal(size=(20, 300)), 6, axis=0) + offset
    copies = real[::6]
    assert neighbours(real, np.repeat(copies, 4, axis=0)) == Neighbours(1.0, 1.0, 0.0, 0.0)
    nudged = neighbours(real, np.repeat(copies, 4, axis=0) + 1e-3)
    assert nudged == Neighbours(0.0, 0.0, 0.0, 0.0)


def test_without_its_guard_the_expansion_is_not_zero_for_identical_rows() -> None:
    x = torch.from_numpy(np.random.default_rng(5).normal(size=(100, 300)))
    points = pairwise.Points.about(x, torch.zeros(300))
    squared, slack = pairwise.squared_distances(points, points)
    assert (squared.diagonal() != 0).any()
    assert (squared.diagonal().abs() <= slack.diagonal()).all()
    exact = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    assert ((squared - exact).abs() <= slack / 8 + 1e-14 * exact).all()
    # Tight enough to tell rows a millionth of their norm apart.
    assert (slack.sqrt() / x.norm(dim=1) < 2e-6).all()


def test_a_diverged_outlier_does_not_blur_the_others(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    result = neighbours(real, np.concatenate([fake, np.full((1, 6), 1e12)]))
    plain = neighbours(real, fake)
    assert result.precision * 91 == pytest.approx(plain.precision * 90)
    assert result.density * 91 == pytest.approx(plain.density * 90)
    assert result.coverage == plain.coverage


def test_invariant_to_order_shift_scale_and_rotation(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    expected = neighbours(real, fake)
    rng = np.random.default_rng(6)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert neighbours(rng.permutation(real), rng.permutation(fake)) == expected
    assert neighbours(37 * real @ rotation - 5, 37 * fake @ rotation - 5) == expected
    assert neighbours(1e-9 * real, 1e-9 * fake) == expected


def test_blocks_do_not_show(sets: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = neighbours(*sets)
    monkeypatch.setattr(pairwise, "_BLOCK", 7 * 90)
    assert neighbours(*sets) == expected


def test_tensors_of_any_precision_and_arrays_agree(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = (x.astype(np.float32) for x in sets)
    expected = neighbours(real, fake)
    assert neighbours(torch.from_numpy(real).requires_grad_(), torch.from_numpy(fake)) == expected
    assert neighbours(torch.from_numpy(real), fake.astype(np.float64)) == expected


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        (np.zeros((5, 2)), np.zeros((9, 2)), r"real: 5 samples, need at least 6"),
        (np.zeros((9, 2)), np.zeros((3, 2)), r"fake: 3 samples, need at least 4"),
        (np.zeros((9, 2)), np.zeros((0, 2)), r"fake: 0 samples"),
        (np.zeros((9, 2)), np.zeros((9, 3)), "the sets have 2 and 3 dimensions"),
        (np.zeros(9), np.zeros((9, 2)), r"expected features as \(n, d\), got shape \(9,\)"),
        (np.zeros((9, 0)), np.zeros((9, 0)), r"expected features"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), r"real: features hold NaN"),
        (np.zeros((9, 2)), np.full((9, 2), np.inf), r"fake: features hold NaN or infinity"),
        (np.zeros((9, 2)), np.full((9, 2), 1e200), r"too large"),
    ],
)
def test_refuses_what_has_no_neighbours(real: np.ndarray, fake: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neighbours(real, fake)


def test_refuses_k_below_one(sets: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        neighbours(*sets, k_balls=0)
