"""Closed forms of OTDD, and agreement with its definition by other solvers."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import ot
import pytest
import torch
from scipy import linalg, optimize

from cl_bench.metrics.otdd import Inner, Outer, otdd
from cl_bench.metrics.wasserstein import squared_w2

C = np.array([0.5, -1.0, 2.0, 0.25])
X, Y = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]]), np.array([0, 1, 1])


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


BOTH_INNER = pytest.mark.parametrize("inner", ["gaussian", "exact"])
BOTH_OUTER = pytest.mark.parametrize("outer", ["emd", "sinkhorn"])


@BOTH_INNER
@BOTH_OUTER
def test_a_set_is_at_distance_zero_from_itself_with_every_solver(
    labelled: tuple[np.ndarray, np.ndarray], inner: Inner, outer: Outer
) -> None:
    x, y = labelled
    result = otdd(x, y, x, y, inner=inner, outer=outer)
    scale = np.square(x - x.mean(0)).sum(1).mean()
    assert result.value == pytest.approx(0, abs=1e-7 * scale)
    assert result.outer == outer
    if outer == "emd":
        assert result.feature_part == 0
        assert (result.entropy_part, result.self_part, result.epsilon) == (0, 0, 0)


@BOTH_INNER
@BOTH_OUTER
def test_translation_has_its_closed_form_on_both_scales(
    labelled: tuple[np.ndarray, np.ndarray], inner: Inner, outer: Outer
) -> None:
    # For Sinkhorn too: a translation adds to the cost what depends on rows alone, on columns alone, and ‖c‖².
    x, y = labelled
    for scale, expected in (("paper", 2 * C @ C), ("microsoft", C @ C)):
        value = otdd(x, y, x + C, y, inner=inner, outer=outer, scale=scale).value
        assert value == pytest.approx(expected, rel=1e-7)


def test_scaling_with_exact_inner_costs_the_mean_square_twice(
    labelled: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = labelled
    result = otdd(x, y, 1.3 * x, y, inner="exact")
    expected = 0.09 * np.square(x).sum(1).mean()
    assert result.feature_part == pytest.approx(expected, rel=1e-9)
    assert result.label_part == pytest.approx(expected, rel=1e-9)


@BOTH_INNER
@BOTH_OUTER
def test_parts_add_up_and_half_scale_is_half(
    labelled: tuple[np.ndarray, np.ndarray], inner: Inner, outer: Outer
) -> None:
    x, y = labelled
    other, other_y = x[::2] * 0.7 + C, y[::2]
    paper = otdd(x, y, other, other_y, inner=inner, outer=outer)
    half = otdd(x, y, other, other_y, inner=inner, outer=outer, scale="microsoft")
    total = paper.feature_part + paper.label_part + paper.entropy_part - paper.self_part
    assert paper.value == pytest.approx(total, rel=1e-12)
    assert paper.marginal_error < (1e-12 if outer == "emd" else 1e-6)
    for part in ("value", "feature_part", "label_part", "entropy_part", "self_part", "epsilon"):
        assert getattr(half, part) == pytest.approx(getattr(paper, part) / 2, rel=1e-7)
    assert half.label_distances == pytest.approx(paper.label_distances, rel=1e-12)


@BOTH_OUTER
def test_weights_weigh_their_parts(labelled: tuple[np.ndarray, np.ndarray], outer: Outer) -> None:
    x, y = labelled
    other, other_y = x[::2] * 0.7 + C, y[::2]
    scaled = otdd(x, y, other, other_y, outer=outer, feature_weight=3, label_weight=3)
    assert scaled.value == pytest.approx(3 * otdd(x, y, other, other_y, outer=outer).value, rel=1e-7)
    features = otdd(x, y, other, other_y, outer=outer, label_weight=0)
    assert features.label_part == 0
    if outer == "emd":
        assert features.value == pytest.approx(squared_w2(x, other), rel=1e-10)
        half = otdd(x, y, other, other_y, label_weight=0, scale="microsoft")
        assert half.value == pytest.approx(squared_w2(x, other) / 2, rel=1e-10)
        labels = otdd(x, y, other, other_y, feature_weight=0)
        assert labels.feature_part == 0
        # Moving label masses alone: 3 × 3 labels.
        masses = [np.bincount(which) / len(which) for which in (y, other_y)]
        assert labels.value == pytest.approx(ot.emd2(*masses, labels.label_distances), rel=1e-10)


@BOTH_INNER
@BOTH_OUTER
def test_rows_names_isometry_and_order_do_not_matter(
    labelled: tuple[np.ndarray, np.ndarray], inner: Inner, outer: Outer
) -> None:
    x, y = labelled
    rng = np.random.default_rng(4)
    order, rotation = rng.permutation(len(y)), np.linalg.qr(rng.normal(size=(4, 4)))[0]
    renamed = np.array(["seven", "three", "ninety"])[y]
    other, other_y = x[::2] * 0.7 + C, y[::2]

    def value(*sets: np.ndarray) -> float:
        return otdd(*sets, inner=inner, outer=outer).value

    expected = value(x, y, other, other_y)
    rel = 1e-9 if outer == "emd" else 1e-6
    assert value(x[order], renamed[order], other, other_y) == pytest.approx(expected, rel=rel)
    assert value(other, other_y, x, y) == pytest.approx(expected, rel=rel)
    moved = value(x @ rotation + 1e4, y, other @ rotation + 1e4, other_y)
    assert moved == pytest.approx(expected, rel=1e-5)


@BOTH_INNER
def test_permuted_labels_move_labels_only(labelled: tuple[np.ndarray, np.ndarray], inner: Inner) -> None:
    # With features weighing enough to be left where they are, what remains is W between the labels of rows.
    x, y = labelled
    shuffled = np.random.default_rng(2).permutation(y)
    result = otdd(x, y, x, shuffled, inner=inner, feature_weight=1e4)
    assert result.feature_part == 0
    assert result.value == pytest.approx(result.label_distances[y, shuffled].mean(), rel=1e-9)
    # As a plan of the unweighted problem, that is a bound.
    assert 0 < otdd(x, y, x, shuffled, inner=inner).value <= result.value * (1 + 1e-12)


def test_agrees_with_its_definition_by_an_independent_route(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    # Means and covariances by NumPy, matrix root by SciPy, linear programme by SciPy.
    x, y = labelled
    x, y = x[::6], y[::6]
    other, other_y = 1.2 * x[:-3] + C[::-1], y[:-3]

    def moments(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return z.mean(0), np.cov(z.T)

    w = np.empty((3, 3))
    for k, j in np.ndindex(3, 3):
        (m, s), (p, t) = moments(x[y == k]), moments(other[other_y == j])
        w[k, j] = np.square(m - p).sum() + np.trace(s + t) - 2 * np.trace(linalg.sqrtm(s @ t).real)
    cost = np.square(x[:, None] - other).sum(-1) + w[np.ix_(y, other_y)]
    n, m_ = cost.shape
    rows, columns = np.kron(np.eye(n), np.ones(m_)), np.kron(np.ones(n), np.eye(m_))
    marginals = np.concatenate([np.full(n, 1 / n), np.full(m_, 1 / m_)])
    expected = optimize.linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=marginals).fun

    result = otdd(x, y, other, other_y)
    assert result.value == pytest.approx(expected, rel=1e-7)
    assert result.label_distances == pytest.approx(w, rel=1e-6)


def test_sinkhorn_agrees_with_its_definition_by_pot(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    other, other_y = x[::2] * 0.7 + C, y[::2]
    result = otdd(x, y, other, other_y, outer="sinkhorn", epsilon=0.5, feature_weight=2)

    def entropic(*sets: np.ndarray) -> tuple[float, float]:
        w = otdd(*sets).label_distances
        cost = 2 * np.square(sets[0][:, None] - sets[2]).sum(-1) + w[np.ix_(sets[1], sets[3])]
        solved = ot.solve(cost, reg=result.epsilon, reg_type="KL", max_iter=50_000, tol=1e-11)
        return solved.value, solved.value_linear

    value, linear = entropic(x, y, other, other_y)
    own = entropic(x, y, x, y)[0] / 2 + entropic(other, other_y, other, other_y)[0] / 2
    assert result.feature_part + result.label_part == pytest.approx(linear, rel=1e-5)
    assert result.self_part == pytest.approx(own, rel=1e-7)
    assert result.value == pytest.approx(value - own, rel=1e-6)
    biased = otdd(x, y, other, other_y, outer="sinkhorn", epsilon=0.5, feature_weight=2, debias=False)
    assert biased.value == pytest.approx(value, rel=1e-8)
    assert biased.self_part == 0


def test_epsilon_is_relative_to_the_median_cost(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    w = otdd(x, y, x + C, y).label_distances
    cost = np.square(x[:, None] - x - C).sum(-1) + w[np.ix_(y, y)]
    result = otdd(x, y, x + C, y, outer="sinkhorn", epsilon=0.2)
    assert result.epsilon == pytest.approx(0.2 * np.median(cost), rel=1e-3)
    small = otdd(1e-3 * x, y, 1e-3 * (x + C), y, outer="sinkhorn", epsilon=0.2)
    assert small.value == pytest.approx(1e-6 * result.value, rel=1e-6)


def test_sinkhorn_tends_to_emd(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    other, other_y = x[::2] * 0.7 + C, y[::2]
    exact = otdd(x, y, other, other_y).value
    biased, debiased = (
        [
            otdd(x, y, other, other_y, outer="sinkhorn", epsilon=e, debias=debias).value / exact - 1
            for e in (0.1, 0.02, 0.005)
        ]
        for debias in (False, True)
    )
    assert biased[0] > biased[1] > biased[2] > 0
    assert biased[2] < 0.1
    assert debiased[0] < debiased[1] < debiased[2] < 0
    assert debiased[2] > -0.02


def test_exact_inner_is_above_the_gaussian_one(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    # Gelbrich's bound is for covariances of 1/n; ours have 1/(n − 1).
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1, 2], 30)
    x, other = rng.normal(size=(90, 4)) ** 3 + y[:, None], rng.exponential(size=(90, 4)) * (1 + y[:, None])
    exact, gauss = (otdd(x, y, other, y, inner=inner).label_distances for inner in ("exact", "gaussian"))
    means = [np.stack([z[y == k].mean(0) for k in range(3)]) for z in (x, other)]
    apart = np.square(means[0][:, None] - means[1]).sum(-1)
    assert (exact > apart + (gauss - apart) * 29 / 30).all()


@BOTH_INNER
@BOTH_OUTER
def test_other_labels_few_samples_and_collapsed_sets_are_finite(
    labelled: tuple[np.ndarray, np.ndarray], inner: Inner, outer: Outer
) -> None:
    x, y = labelled
    missing = otdd(x, y, x[y != 1], y[y != 1] + 5, inner=inner, outer=outer)
    assert missing.label_distances.shape == (3, 2)
    assert missing.value > 1
    one_class = otdd(x, np.zeros(len(x)), x + C, np.full(len(x), -3), inner=inner, outer=outer)
    assert one_class.value == pytest.approx(2 * C @ C, rel=1e-7)
    # All samples of a label alike; every label one sample; one point each; the same point.
    collapsed = otdd(4 * np.eye(4)[y], y, x, y, inner=inner, outer=outer)
    assert np.isfinite(collapsed.value)
    alone = otdd(x[:5], np.arange(5), x[:5] + C, np.arange(5), inner=inner, outer=outer)
    assert alone.value == pytest.approx(2 * C @ C, rel=1e-7)
    assert otdd(x[:1], y[:1], x[:1] + C, y[:1], inner=inner, outer=outer).value == pytest.approx(2 * C @ C)
    same = np.ones((6, 4))
    assert otdd(same, y[:6], same, y[:6], inner=inner, outer=outer).value == pytest.approx(0, abs=1e-12)
    # Most costs 0, so that the median is no scale.
    mostly = same.copy()
    mostly[0] = 3
    assert otdd(same, y[:6], mostly, y[:6], inner=inner, outer=outer).value > 0


def test_tensors_are_taken_as_arrays_are(labelled: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = labelled
    tensors = (torch.from_numpy(z) for z in (x, y, x[::2] + C, y[::2].copy()))
    assert otdd(*tensors, outer="sinkhorn").value == otdd(x, y, x[::2] + C, y[::2], outer="sinkhorn").value


def test_auto_is_exact_up_to_the_limit(
    labelled: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = labelled
    monkeypatch.setattr("cl_bench.metrics.otdd.EMD_LIMIT", 100)
    assert otdd(x, y, x[:50], y[:50]).outer == "sinkhorn"
    assert otdd(x[:100], y[:100], x[:50], y[:50]).outer == "emd"


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"x_b": X[:0], "y_b": Y[:0]}, {}, "empty"),
        ({"x_b": np.full_like(X, np.nan)}, {}, "NaN"),
        ({"x_b": np.full_like(X, np.nan)}, {"inner": "exact"}, "NaN"),
        ({"y_b": Y[:2]}, {}, "one label a sample"),
        ({"x_b": X[:, :1]}, {}, "2 and 1 dimensions"),
        ({"x_b": X[:, 0]}, {}, "shape"),
        ({}, {"outer": "emd", "epsilon": 0.1}, "no effect"),
        ({}, {"epsilon": 0.0}, "positive"),
        ({}, {"label_weight": -1.0}, "≥ 0"),
        ({}, {"inner": "means"}, "'means'; expected one of gaussian, exact"),
        ({}, {"outer": "exact"}, "expected one of auto, emd, sinkhorn"),
        ({}, {"scale": "half"}, "expected one of paper, microsoft"),
    ],
)
def test_refuses_what_has_no_distance(
    change: dict[str, np.ndarray], options: dict[str, Any], message: str
) -> None:
    sets = {"x_a": X, "y_a": Y, "x_b": X, "y_b": Y} | change
    with pytest.raises(ValueError, match=message):
        otdd(**sets, **options)


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
