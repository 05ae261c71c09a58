"""Properties of sliced OTDD, and agreement with its formula written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cl_bench.metrics.sliced_otdd import _exponents, _numbers, sliced_otdd
from cl_bench.metrics.wasserstein import squared_w2

X, Y = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]]), np.array([0, 1, 1])
Set = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def labelled() -> Set:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [40, 30, 50])
    return rng.normal(size=(120, 4)) + 4 * np.eye(4)[y], y


def test_exponents_have_the_truncated_poisson_laws() -> None:
    # P(k) = e^{−j} jᵏ / k! / (1 − e^{−j}), k ≥ 1.
    count = 100_000
    drawn = _exponents(np.random.default_rng(0), count, 3).numpy()
    for j in (1, 2, 3):
        for k in range(5):
            expected = 0 if k == 0 else math.exp(-j) * j**k / math.factorial(k) / (1 - math.exp(-j))
            error = math.sqrt(max(expected * (1 - expected), 1e-12) / count)
            assert abs((drawn[:, j - 1] == k).mean() - expected) < 5 * error


def test_numbers_are_those_of_the_formula(labelled: Set) -> None:
    x, y = labelled
    rng = np.random.default_rng(1)
    z, psi, k = x @ rng.normal(size=(4, 6)), rng.normal(size=(6, 4)), rng.integers(1, 6, size=(6, 3))
    ours = _numbers(*(torch.from_numpy(part) for part in (z, y, psi, k))).numpy()
    for i, projection in np.ndindex(120, 6):
        same = z[y == y[i], projection]
        expected = psi[projection, 0] * z[i, projection] + sum(
            psi[projection, j + 1] * (same**power).mean() / math.factorial(power)
            for j, power in enumerate(k[projection])
        )
        assert ours[i, projection] == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_of_one_projection_is_its_transport_on_the_line(labelled: Set) -> None:
    # Standardised by hand; the draws in the order in which the function makes them.
    x, y = labelled
    other, other_y = 1.3 * x[:80] + 2, y[:80]
    centre = (x.mean(0) + other.mean(0)) / 2
    size = sum(np.square(part - centre).sum(1).mean() for part in (x, other)) / (2 * 4)
    rng = np.random.default_rng(9)
    theta, psi = rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    theta, psi = theta / np.linalg.norm(theta), torch.from_numpy(psi / np.linalg.norm(psi))
    k = _exponents(rng, 1, 3)
    numbers = [
        _numbers(torch.from_numpy((part - centre) @ theta.T / np.sqrt(size)), torch.from_numpy(label), psi, k)
        for part, label in ((x, y), (other, other_y))
    ]
    expected = size * squared_w2(*numbers)
    value = sliced_otdd(x, y, other, other_y, projections=1, moments=3, seed=9)
    assert value == pytest.approx(expected, rel=1e-10)


def test_zero_on_equal_sets_and_blind_to_rows_and_names(labelled: Set) -> None:
    x, y = labelled
    order = np.random.default_rng(1).permutation(len(y))
    other, other_y = x[::2] * 0.7 + 1, y[::2]
    renamed = np.array(["seven", "three", "ninety"])[y]
    assert sliced_otdd(x, y, x, y) == 0
    assert sliced_otdd(x, y, x[order], renamed[order]) == pytest.approx(0, abs=1e-12)
    value = sliced_otdd(x, y, other, other_y)
    assert sliced_otdd(x[order], renamed[order], other, other_y) == pytest.approx(value, rel=1e-9)
    assert sliced_otdd(other, other_y, x, y) == pytest.approx(value, rel=1e-9)


def test_permuted_labels_are_seen_although_features_are_the_same(labelled: Set) -> None:
    x, y = labelled
    rng = np.random.default_rng(2)
    value = sliced_otdd(x, y, x, rng.permutation(y))
    again = sliced_otdd(x, rng.permutation(y), x, rng.permutation(y))
    assert value > 0.1
    assert value > 3 * again


def test_grows_with_a_shift_without_exploding(labelled: Set) -> None:
    x, y = labelled
    c = np.ones(4)
    values = [sliced_otdd(x, y, x + t * c, y) for t in (0, 0.1, 0.3, 1, 3, 10, 100, 1000)]
    assert values == sorted(set(values))
    # Once the shift is all there is, the value is as its square.
    assert values[-1] / values[-2] == pytest.approx(100, rel=0.05)


def test_translating_both_changes_nothing_and_scaling_both_squares(labelled: Set) -> None:
    x, y = labelled
    other, other_y = x[::2] * 0.7 + 1, y[::2]
    value = sliced_otdd(x, y, other, other_y)
    assert sliced_otdd(x + 1e4, y, other + 1e4, other_y) == pytest.approx(value, rel=1e-6)
    assert sliced_otdd(1e3 * x, y, 1e3 * other, other_y) == pytest.approx(1e6 * value, rel=1e-9)


def test_one_seed_draws_one_value(labelled: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = labelled
    sets = x, y, x[::2] * 0.7 + 1, y[::2]
    value = sliced_otdd(*sets, projections=50, seed=3)
    assert value == sliced_otdd(*sets, projections=50, seed=3)
    assert value != sliced_otdd(*sets, projections=50, seed=4)
    tensors = [torch.from_numpy(np.ascontiguousarray(part)) for part in sets]
    assert value == sliced_otdd(*tensors, projections=50, seed=3)
    monkeypatch.setattr("cl_bench.metrics.wasserstein._BLOCK", 7 * 180)
    assert sliced_otdd(*sets, projections=50, seed=3) == pytest.approx(value, rel=1e-12)


def test_collapsed_sets_missing_labels_and_far_outliers_are_finite(labelled: Set) -> None:
    x, y = labelled
    assert sliced_otdd(np.ones((5, 4)), Y[[0, 1, 1, 0, 0]], np.ones((3, 4)), Y) == 0
    assert sliced_otdd(x, y, np.ones((3, 4)), Y) > 0
    assert sliced_otdd(x, y, x[y != 1], y[y != 1]) > 0.01
    outlier = x.copy()
    outlier[0] = 1e6
    assert np.isfinite(sliced_otdd(x, y, outlier, y))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"x_b": X[:0], "y_b": Y[:0]}, {}, "empty"),
        ({"x_b": np.full_like(X, np.nan)}, {}, "NaN"),
        ({"y_b": Y[:2]}, {}, "one label a sample"),
        ({"x_b": X[:, :1]}, {}, "2 and 1 dimensions"),
        ({}, {"projections": 0}, "at least 1"),
        ({}, {"moments": 0}, "at least 1"),
    ],
)
def test_refuses_what_has_no_distance(
    change: dict[str, np.ndarray], options: dict[str, Any], message: str
) -> None:
    sets = {"x_a": X, "y_a": Y, "x_b": X, "y_b": Y} | change
    with pytest.raises(ValueError, match=message):
        sliced_otdd(**sets, **options)
