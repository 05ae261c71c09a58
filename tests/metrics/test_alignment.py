"""Latent alignment: invariances, closed forms, an independent HSIC, and the behaviour of equal sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from cl_bench.metrics.alignment import (
    centroids,
    domain_auc,
    domain_auc_per_class,
    gap_ratio,
    linear_cka,
    procrustes_residual,
)

RNG = np.random.default_rng
SHIFT = np.array([0.5, -1.0, 2.0])


def turned(x: np.ndarray) -> np.ndarray:
    """Rotated, translated."""
    return x @ Rotation.random(rng=RNG(9)).as_matrix() + SHIFT


@pytest.fixture
def x() -> np.ndarray:
    return RNG(0).normal(size=(40, 3)) * [1, 2, 3]


@pytest.fixture
def labelled() -> tuple[np.ndarray, np.ndarray]:
    y = np.repeat([2, 5, 7, 11], [30, 10, 40, 20])
    return RNG(1).normal(size=(100, 3)) + 5 * RNG(2).normal(size=(12, 3))[y], y


# --- linear CKA


@pytest.mark.parametrize("unbiased", [False, True])
def test_cka_of_a_rotated_translated_scaled_copy_is_one(x: np.ndarray, unbiased: bool) -> None:
    assert linear_cka(x, 0.3 * turned(x), unbiased) == pytest.approx(1, abs=1e-12)
    # Both ways to form the products: more rows than columns, and fewer.
    wide = RNG(3).normal(size=(6, 3)) @ RNG(4).normal(size=(3, 50))
    assert linear_cka(wide, 7 * wide[:, ::-1] - 2, unbiased) == pytest.approx(1, abs=1e-12)


def test_cka_is_not_one_when_columns_are_scaled_apart(x: np.ndarray) -> None:
    assert linear_cka(x, x * [3, 2, 1]) < 0.95


def test_cka_of_two_columns_is_the_squared_correlation() -> None:
    a, b = RNG(0).normal(size=(2, 30))
    expected = np.corrcoef(a, b)[0, 1] ** 2
    assert linear_cka(a[:, None], b[:, None]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(20, 5), (8, 30)])
def test_unbiased_cka_agrees_with_hsic_written_out(n: int, d: int) -> None:
    a, b = RNG(1).normal(size=(2, n, d)) + 3
    b = b + 0.5 * a

    def hsic(p: np.ndarray, q: np.ndarray) -> float:
        # Song et al. 2012, from the kernels without their diagonals and without centring.
        k, l = p @ p.T, q @ q.T  # noqa: E741
        np.fill_diagonal(k, 0)
        np.fill_diagonal(l, 0)
        one = np.ones(n)
        mean = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
        return float((np.trace(k @ l) + mean - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3)))

    expected = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
    assert linear_cka(a, b, unbiased=True) == pytest.approx(expected, rel=1e-9)


def test_plain_cka_of_few_unrelated_rows_is_high_and_the_unbiased_is_about_zero() -> None:
    pairs = [RNG(r).normal(size=(2, 10, 200)) for r in range(100)]
    assert np.mean([linear_cka(a, b) for a, b in pairs]) > 0.9
    values = [linear_cka(a, b, unbiased=True) for a, b in pairs]
    assert abs(np.mean(values)) < 5 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_cka_takes_networks_of_different_width(x: np.ndarray) -> None:
    wider = np.concatenate([turned(x), np.zeros((40, 4))], axis=1)
    assert linear_cka(x, wider) == pytest.approx(1, abs=1e-12)


def test_cka_refuses_what_has_no_arrangement(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="constant"):
        linear_cka(x, np.full((40, 3), 0.1))
    with pytest.raises(ValueError, match="equally far"):
        linear_cka(np.eye(5), RNG(0).normal(size=(5, 5)), unbiased=True)
    with pytest.raises(ValueError, match="4 or more paired rows, got 3 and 3"):
        linear_cka(x[:3], x[:3], unbiased=True)
    with pytest.raises(ValueError, match="paired rows"):
        linear_cka(x, x[:-1])
    with pytest.raises(ValueError, match="NaN"):
        linear_cka(x, x * np.nan)


# --- Procrustes and gaps


def test_procrustes_of_a_rotated_translated_mirrored_copy_is_zero(x: np.ndarray) -> None:
    assert procrustes_residual(x, turned(x) * [1, 1, -1]) == pytest.approx(0, abs=1e-12)
    # Fewer rows than columns.
    assert procrustes_residual(x[:3], turned(x[:3])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("s", [0.0, 0.5, 1.7])
def test_scaling_leaves_its_square_and_sets_the_gap_ratio(x: np.ndarray, s: float) -> None:
    assert procrustes_residual(x, s * turned(x)) == pytest.approx((1 - s) ** 2, abs=1e-12)
    assert gap_ratio(x, s * turned(x)) == pytest.approx(s, abs=1e-12)


def test_procrustes_agrees_with_scipy_where_that_fits_the_scale_too(x: np.ndarray) -> None:
    other = x + RNG(5).normal(size=x.shape)
    # min over s of the residual of sB is SciPy's disparity.
    a, b = x - x.mean(0), other - other.mean(0)
    best = np.linalg.svd(b.T @ a, compute_uv=False).sum() / np.square(b).sum()
    assert procrustes_residual(x, best * other) == pytest.approx(procrustes(x, other)[2], rel=1e-9)


def test_gap_ratio_is_of_root_mean_squared_distances(x: np.ndarray) -> None:
    other = RNG(6).normal(size=x.shape)
    gaps = [np.square(z[:, None] - z[None]).sum(-1).mean() for z in (x, other)]
    assert gap_ratio(x, other) == pytest.approx(np.sqrt(gaps[1] / gaps[0]), rel=1e-12)


@pytest.mark.parametrize("measure", [procrustes_residual, gap_ratio])
def test_pairs_without_arrangement_are_refused(
    measure: Callable[[np.ndarray, np.ndarray], float], x: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="constant"):
        measure(np.full((3, 2), 0.1), RNG(0).normal(size=(3, 2)))
    with pytest.raises(ValueError, match="two or more"):
        measure(x[:1], x[:1])


# --- centroids


def test_centroids_of_a_copy_have_cosine_one(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    found = centroids(x, y, x[::-1], y[::-1])
    assert found.classes.tolist() == [2, 5, 7, 11]
    assert found.cosines == pytest.approx(1)
    assert found.cosine == pytest.approx(1)
    assert len(found.missing) == 0
    assert linear_cka(*found.common, unbiased=True) == pytest.approx(1)


def test_cosine_is_seen_from_the_mean_of_all_real_rows() -> None:
    # Real classes at ±(1, 0) from the mean (10, 10); replay turned by 60° about it, and by 180°.
    real, y = np.array([[11.0, 10.0], [9.0, 10.0]]), np.array([0, 1])
    replay = np.array([[10 + 2 * np.cos(np.pi / 3), 10 + 2 * np.sin(np.pi / 3)], [13.0, 10.0]])
    found = centroids(real, y, replay, y)
    assert found.cosines == pytest.approx([0.5, -1])
    assert found.cosine == pytest.approx(-0.25)
    # The mean counts rows, not classes: with the first class thrice it moves to (10.5, 10).
    thrice = centroids(real[[0, 0, 0, 1]], y[[0, 0, 0, 1]], replay, y)
    assert thrice.origin == pytest.approx([10.5, 10])


def test_swapped_classes_lower_the_cosine(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    swapped = np.select([y == 2, y == 7], [7, 2], y)
    assert centroids(x, y, x, swapped).cosine < 0.6


def test_missing_classes_are_named_and_count_zero(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    keep = y != 5
    found = centroids(x, y, x[keep], y[keep])
    assert found.missing.tolist() == [5]
    assert found.cosines == pytest.approx([1, np.nan, 1, 1], nan_ok=True)
    assert found.cosine == pytest.approx(3 / 4)
    assert [len(part) for part in found.common] == [3, 3]


def test_collapsed_replay_is_finite(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    found = centroids(x, y, np.tile(x.mean(0), (100, 1)), y)
    assert found.cosine == 0
    assert procrustes_residual(*found.common) == pytest.approx(1)
    assert gap_ratio(*found.common) == pytest.approx(0, abs=1e-12)


def test_centroids_refuse_what_has_no_answer(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    with pytest.raises(ValueError, match="replay has classes that the real set lacks: 2, 11"):
        centroids(x[30:80], y[30:80], x, y)
    with pytest.raises(ValueError, match="no direction"):
        _ = centroids(x[:30], y[:30], x[:30], y[:30]).cosine
    with pytest.raises(ValueError, match="not empty"):
        centroids(x, y, x[:0], y[:0])
    with pytest.raises(ValueError, match="a label for each"):
        centroids(x, y[1:], x, y)


# --- domain AUC


def test_domain_auc_of_two_draws_is_one_half_on_average() -> None:
    n, trials = 40, 20
    values = [
        domain_auc(RNG(r).normal(size=(n, 3)), RNG(r + 1000).normal(size=(n, 3)), seed=r)
        for r in range(trials)
    ]
    spread = np.sqrt(2 * n / (6 * n * n))
    assert abs(np.mean(values) - 0.5) < 5 * spread / np.sqrt(trials)
    assert np.std(values, ddof=1) == pytest.approx(spread, rel=0.6)


def test_domain_auc_of_shifted_normals_has_its_closed_form() -> None:
    # The best linear score separates N(0, I) and N(δe, I) with AUC Φ(δ/√2): δ = 1 gives 0.7602.
    rng, n = RNG(0), 2000
    value = domain_auc(rng.normal(size=(n, 2)), rng.normal([1, 0], size=(n, 2)))
    assert value == pytest.approx(0.7602, abs=5 * np.sqrt(0.7602 * 0.2398 / n))
    assert domain_auc(rng.normal(size=(n, 2)), rng.normal([20, 0], size=(n, 2))) == 1


def test_domain_auc_is_below_one_half_for_copies_and_blind_to_spread() -> None:
    x = RNG(0).normal(size=(60, 30))
    assert domain_auc(x, x) < 0.3
    assert abs(domain_auc(RNG(1).normal(size=(500, 3)), 0.1 * RNG(2).normal(size=(500, 3))) - 0.5) < 0.15


def test_domain_auc_is_the_same_again_and_in_other_units(x: np.ndarray) -> None:
    other = x[::-1] + RNG(7).normal(size=x.shape)
    value = domain_auc(x, other)
    assert domain_auc(x, other) == value
    assert domain_auc(x * [1e3, 1, 1e-3] + 5, other * [1e3, 1, 1e-3] + 5) == pytest.approx(value, abs=1e-3)


def test_domain_auc_of_constant_features_is_one_half() -> None:
    assert domain_auc(np.ones((20, 2)), np.ones((30, 2))) == 0.5


def test_domain_auc_per_class_sees_the_class_that_moved(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    replay, replay_y = x + RNG(8).normal(size=x.shape), y.copy()
    replay[y == 7] += 10
    replay_y[y == 5] = 11
    found = domain_auc_per_class(x, y, replay, replay_y)
    assert list(found) == [2, 5, 7, 11]
    assert found[7] == 1
    assert np.isnan(found[5])
    assert found[2] < 0.8


def test_domain_auc_says_how_many_rows_it_needs(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="needs 10 rows of each set, got 40 and 9"):
        domain_auc(x, x[:9])
    with pytest.raises(ValueError, match="differ in width"):
        domain_auc(x, x[:, :2])
