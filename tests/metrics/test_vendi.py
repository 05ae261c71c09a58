"""Closed forms of the Vendi score for every order, and its eigenvalues from the kernel itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cl_bench.metrics.vendi import vendi

ORDERS = [0.1, 0.5, 1, 1.0001, 2, math.inf]


def from_kernel(x: np.ndarray, q: float, dual: bool) -> float:
    """From the eigenvalues of K/n, n×n, or of its dual, d×d."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh((unit.T @ unit if dual else unit @ unit.T) / len(x)).clip(1e-300)
    if q == 1:
        return float(np.exp(-(eigenvalues * np.log(eigenvalues)).sum()))
    if q == math.inf:
        return float(1 / eigenvalues.max())
    return float((eigenvalues**q).sum() ** (1 / (1 - q)))


@pytest.mark.parametrize("q", ORDERS)
@pytest.mark.parametrize("n", [1, 7, 400])
def test_identical_rows_are_one_sample(q: float, n: int) -> None:
    row = np.random.default_rng(0).normal(size=(1, 50))
    assert vendi(np.repeat(row, n, axis=0), q) == pytest.approx(1, rel=1e-9)
    # Nor does length matter to a cosine.
    assert vendi(np.arange(1, n + 1)[:, None] * row, q) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("q", ORDERS)
def test_orthogonal_rows_are_as_many_samples(q: float) -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(60, 60)))[0]
    assert vendi(rotation[:25], q) == pytest.approx(25, rel=1e-9)
    assert vendi(rotation, q) == pytest.approx(60, rel=1e-9)


@pytest.mark.parametrize("q", ORDERS)
@pytest.mark.parametrize("size", [3, 40])
def test_equal_orthogonal_groups_count_once_each(q: float, size: int) -> None:
    groups = np.linalg.qr(np.random.default_rng(2).normal(size=(30, 30)))[0][:6]
    assert vendi(np.repeat(groups, size, axis=0), q) == pytest.approx(6, rel=1e-7)


@pytest.mark.parametrize("q", ORDERS)
def test_unequal_orthogonal_groups_have_the_entropy_of_their_shares(q: float) -> None:
    shares = np.array([0.5, 0.3, 0.2])
    x = np.repeat(np.eye(5)[:3], [50, 30, 20], axis=0)
    if q == 1:
        expected = math.exp(-(shares * np.log(shares)).sum())
    elif q == math.inf:
        expected = 1 / 0.5
    else:
        expected = (shares**q).sum() ** (1 / (1 - q))
    assert vendi(x, q) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("q", ORDERS)
@pytest.mark.parametrize(("n", "d"), [(80, 12), (12, 80), (30, 30)])
def test_agrees_with_the_kernel_and_its_dual(q: float, n: int, d: int) -> None:
    x = np.random.default_rng(3).normal(size=(n, d)) + 0.5
    # The larger form has eigenvalues of zero, whose rounding small orders add up.
    smaller = from_kernel(x, q, dual=n > d)
    assert vendi(x, q) == pytest.approx(smaller, rel=1e-9)
    if q >= 1:
        assert from_kernel(x, q, dual=n <= d) == pytest.approx(smaller, rel=1e-9)
        assert vendi(x, q) == pytest.approx(from_kernel(x, q, dual=n <= d), rel=1e-9)


def test_falls_with_the_order_and_rises_with_diversity() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(100, 20)) * np.linspace(0.1, 3, 20)
    scores = [vendi(x, q) for q in ORDERS]
    assert scores == sorted(scores, reverse=True)
    collapsed = 0.1 * x + 1
    assert vendi(collapsed) < 0.5 * vendi(x)


def test_invariant_to_order_scale_and_rotation() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 8)) + 1
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    expected = vendi(x)
    for same in (x[::-1], 1e200 * x, 1e-200 * x, x @ rotation, np.concatenate([x, x])):
        assert vendi(same) == pytest.approx(expected, rel=1e-9)
    assert vendi(torch.from_numpy(x)) == expected


@pytest.mark.parametrize("q", ORDERS)
def test_rows_of_zeros_are_one_direction_of_their_own(q: float) -> None:
    assert vendi(np.zeros((9, 4)), q) == pytest.approx(1)
    x = np.concatenate([np.zeros((10, 4)), np.repeat(np.eye(4)[:2], 10, axis=0)])
    assert vendi(x, q) == pytest.approx(3, rel=1e-9)


def test_refuses_what_has_no_directions() -> None:
    with pytest.raises(ValueError, match="x: 0 samples"):
        vendi(np.empty((0, 3)))
    with pytest.raises(ValueError, match="NaN"):
        vendi(np.array([[1.0, np.nan]]))
    with pytest.raises(ValueError, match="got shape"):
        vendi(np.ones(3))
    for q in (0, -1, math.nan):
        with pytest.raises(ValueError, match="order q must be above 0"):
            vendi(np.ones((2, 2)), q)
