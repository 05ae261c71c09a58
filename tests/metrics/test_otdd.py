"""Closed forms of OTDD: translation, scaling, permutation of labels and rows, symmetry."""

from __future__ import annotations

import os

import numpy as np
import pytest

from cl_bench.metrics.otdd import otdd

C = np.array([0.5, -1.0, 2.0, 0.25])


@pytest.fixture
def labelled() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [40, 30, 50])
    return rng.normal(size=(120, 4)) + 4 * np.eye(4)[y], y


def test_a_set_is_at_distance_zero_from_itself(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    assert otdd(x, y, x, y).value == pytest.approx(0, abs=1e-9)


def test_translation_costs_its_squared_length_twice(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    # Once in the features, once between each label's Gaussian and its translate.
    x, y = labelled
    result = otdd(x, y, x + C, y)
    assert result.feature_part == pytest.approx(C @ C, rel=1e-9)
    assert result.label_part == pytest.approx(C @ C, rel=1e-9)
    assert np.diagonal(result.label_distances) == pytest.approx([C @ C] * 3, rel=1e-9)


def test_scaling_has_its_closed_form(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    # (1−s)² [mean ‖x‖² + Σ_k p_k (‖m_k‖² + tr S_k)], S_k unbiased.
    x, y = labelled
    s = 1.3
    label_term = sum(
        (y == k).mean() * (np.square(x[y == k].mean(0)).sum() + x[y == k].var(0, ddof=1).sum())
        for k in range(3)
    )
    expected = (1 - s) ** 2 * (np.square(x).sum(1).mean() + label_term)
    assert otdd(x, y, s * x, y).value == pytest.approx(expected, rel=1e-9)


def test_label_names_and_row_order_do_not_matter(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    order = np.random.default_rng(1).permutation(len(y))
    renamed = np.array([7, 3, 90])[y]
    other, other_y = x[::-1] * 1.1 + C, y[::-1]
    assert otdd(x, y, other, other_y).value == pytest.approx(
        otdd(x[order], renamed[order], other, other_y).value, rel=1e-9
    )


def test_permuted_labels_are_seen_although_features_are_the_same(
    labelled: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = labelled
    shuffled = np.random.default_rng(2).permutation(y)
    assert otdd(x, y, x, shuffled).value > 1


def test_label_matrix_is_between_gaussians(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    matrix = otdd(x, y, x, y).label_distances
    assert np.diagonal(matrix) == pytest.approx([0, 0, 0], abs=1e-9)
    assert matrix == pytest.approx(matrix.T, rel=1e-9)
    # Means 4√2 apart, nearly equal covariances: W₂² ≈ 32.
    assert matrix[0, 1] == pytest.approx(32, rel=0.25)


def test_symmetric_and_isometry_invariant(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    other = x[::2] * 0.7 + C
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    value = otdd(x, y, other, y[::2]).value
    assert otdd(other, y[::2], x, y).value == pytest.approx(value, rel=1e-9)
    assert otdd(x @ rotation, y, other @ rotation, y[::2]).value == pytest.approx(value, rel=1e-9)


def test_empty_set_is_an_error(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    with pytest.raises(ValueError, match="empty"):
        otdd(x, y, x[:0], y[:0])


def test_leaves_the_environment_as_it_was(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    before = dict(os.environ)
    otdd(x, y, x, y)
    assert dict(os.environ) == before


def test_at_small_n_a_set_of_less_variance_is_closer_than_a_second_draw() -> None:
    # Why a floor is a level to compare with and not a lower bound (docs/metrics.md).
    rng = np.random.default_rng(0)
    y = np.zeros(36)
    second, narrow = [], []
    for _ in range(20):
        real, again = rng.normal(size=(2, 36, 20))
        second.append(otdd(real, y, again, y).feature_part)
        narrow.append(otdd(real, y, 0.8 * again, y).feature_part)
    assert np.mean(narrow) < 0.95 * np.mean(second)
