"""Closed forms of the conditional Fréchet distances, and what only they can see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from sklearn.datasets import load_digits

from cl_bench.metrics.conditional_frechet import conditional_frechet
from cl_bench.metrics.gaussian import fit, frechet_distance, squared_distance


@pytest.fixture
def labelled() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of 120, 60 and 20 samples in six dimensions."""
    rng = np.random.default_rng(0)
    y = np.repeat([2, 5, 9], [120, 60, 20])
    x = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 3 * rng.normal(size=(10, 6))[y]
    order = rng.permutation(200)
    return x[order], y[order]


def test_a_class_that_moves_costs_its_step(labelled) -> None:
    x, y = labelled
    steps = {2: 1.0, 5: 2.0, 9: 4.0}
    moved = x + np.array([steps[c] for c in y])[:, None]
    result = conditional_frechet(x, y, moved, y)
    costs = np.array([6 * s**2 for s in steps.values()])
    assert result.classes == (2, 5, 9)
    assert result.real_counts == result.fake_counts == (120, 60, 20)
    assert result.per_class == pytest.approx(costs, rel=1e-10)
    assert result.balanced == pytest.approx(costs.mean(), rel=1e-10)
    assert result.weighted == pytest.approx(costs @ [0.6, 0.3, 0.1], rel=1e-10)
    # Within classes nothing changed but the means.
    assert result.joint == pytest.approx(result.weighted, rel=1e-9)
    means = [np.stack([s[y == c].mean(0) for c in (2, 5, 9)]) for s in (x, moved)]
    assert result.between == pytest.approx(squared_distance(*map(fit, means)), rel=1e-10)


def test_classes_that_spread_cost_their_spread_and_leave_the_means(labelled) -> None:
    x, y = labelled
    means = np.stack([x[y == c].mean(0) if c in y else np.zeros(6) for c in range(10)])[y]
    result = conditional_frechet(x, y, means + 1.5 * (x - means), y)
    spread = np.array([fit(x[y == c]).total_variance for c in (2, 5, 9)])
    assert result.per_class == pytest.approx(0.25 * spread, rel=1e-10)
    assert result.between == pytest.approx(0, abs=1e-9)
    assert result.joint == pytest.approx(0.25 * spread @ [0.6, 0.3, 0.1], rel=1e-9)


def test_a_translation_costs_the_same_everywhere(labelled) -> None:
    x, y = labelled
    c = np.arange(6.0)
    result = conditional_frechet(x, y, x + c, y)
    values = (result.balanced, result.weighted, result.between, result.joint)
    assert values == pytest.approx([c @ c] * 4, rel=1e-10)


def test_joint_is_the_papers_formula_with_one_hot_conditions() -> None:
    rng, k, per_class = np.random.default_rng(1), 4, 50
    labels = np.repeat(np.arange(k), per_class)
    one_hot = np.eye(k)[labels][:, 1:]  # full rank: the last share follows from the others
    sides = [
        rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5)) + rng.normal(size=(k, 5))[labels]
        for _ in range(2)
    ]
    cross, conditional = [], []
    inverse = linalg.inv(np.cov(one_hot.T, ddof=0))
    for side in sides:
        whole = np.cov(np.hstack([one_hot, side]).T, ddof=0)
        cross.append(whole[k - 1 :, : k - 1])
        rest = whole[k - 1 :, k - 1 :] - cross[-1] @ inverse @ cross[-1].T
        # The paper's covariances divide by n, ours by each class's n_c − 1.
        conditional.append(rest * per_class / (per_class - 1))
    step, root = cross[0] - cross[1], linalg.sqrtm(conditional[0])
    expected = (
        np.square(sides[0].mean(0) - sides[1].mean(0)).sum()
        + np.trace(step @ inverse @ step.T)
        + np.trace(sum(conditional) - 2 * linalg.sqrtm(root @ conditional[1] @ root))
    )
    assert conditional_frechet(sides[0], labels, sides[1], labels).joint == pytest.approx(expected, rel=1e-9)


def test_missing_and_unexpected_classes_are_named(labelled) -> None:
    x, y = labelled
    fake = np.where(y == 9, 11, y)
    result = conditional_frechet(x, y, x + 1, fake)
    assert (result.classes, result.missing, result.unexpected) == ((2, 5), (9,), (11,))
    assert result.real_counts == (120, 60)
    assert (result.balanced, result.weighted) == pytest.approx([6, 6], rel=1e-10)
    # One class in common still has every value.
    single = conditional_frechet(x, y, x[y == 5] + 1, y[y == 5])
    assert (single.classes, single.missing, single.unexpected) == ((5,), (2, 9), ())
    assert (single.balanced, single.between, single.joint) == pytest.approx([6, 6, 6], rel=1e-10)


def test_collapsed_duplicate_and_single_samples_are_finite(labelled) -> None:
    x, y = labelled
    collapsed = np.stack([x[y == c][0] for c in y])
    expected = [frechet_distance(x[y == c], collapsed[y == c]) for c in (2, 5, 9)]
    assert conditional_frechet(x, y, collapsed, y).per_class == pytest.approx(expected, rel=1e-12)
    for rows in (np.unique(y, return_index=True)[1], np.repeat(np.arange(50), 2)):
        result = conditional_frechet(x, y, x[rows], y[rows])
        assert np.isfinite([result.balanced, result.weighted, result.between, result.joint]).all()


def test_shuffled_labels_of_real_digits_raise_all_but_the_marginal() -> None:
    x, y = load_digits(return_X_y=True)
    x /= 16
    rng = np.random.default_rng(2)
    order = rng.permutation(len(x))
    real, fake = order[:900], order[900:]
    right = conditional_frechet(x[real], y[real], x[fake], y[fake])
    wrong = conditional_frechet(x[real], y[real], x[fake], rng.permutation(y[fake]))
    marginal = frechet_distance(x[real], x[fake])
    assert right.classes == tuple(range(10))
    assert marginal < right.joint < right.balanced < 1
    assert min(wrong.per_class) > 2 * max(right.per_class)
    for name in ("balanced", "weighted", "between", "joint"):
        assert getattr(wrong, name) > 4 * getattr(right, name)


def test_a_renaming_of_classes_is_seen_within_and_not_between(labelled) -> None:
    x, y = labelled
    turned = np.array([0, 0, 5, 0, 0, 9, 0, 0, 0, 2])[y]
    result = conditional_frechet(x, y, x, turned)
    assert result.between == pytest.approx(0, abs=1e-9)
    assert min(result.per_class) > 1


def test_tensors_and_arrays_give_the_same(labelled) -> None:
    x, y = labelled
    expected = conditional_frechet(x, y, x[:90] * 1.1, y[:90])
    tensors = conditional_frechet(*map(torch.from_numpy, (x, y, x[:90] * 1.1, y[:90])))
    assert tensors.per_class == pytest.approx(expected.per_class, rel=1e-10)
    assert (tensors.between, tensors.joint) == pytest.approx((expected.between, expected.joint), rel=1e-10)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((0, 2)), np.zeros(0, int), "expected samples"),
        (np.full((2, 2), np.nan), np.zeros(2, int), "NaN"),
        (np.zeros((2, 2)), np.zeros(3, int), "expected 2 integer labels"),
        (np.zeros((2, 2)), np.zeros(2), "expected 2 integer labels"),
        (np.zeros((2, 2)), np.full(2, 7), "no class in common"),
        (np.zeros((2, 3)), np.zeros(2, int), "different dimensions"),
    ],
)
def test_refuses_what_cannot_be_compared(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conditional_frechet(np.eye(2), np.zeros(2, int), x, y)
