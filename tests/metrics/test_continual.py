"""Accuracy-matrix summaries against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cl_bench.metrics import continual

MATRIX = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.8, 0.5, 0.6]])


def test_average_accuracy() -> None:
    assert continual.average_accuracy(MATRIX) == pytest.approx((0.8 + 0.5 + 0.6) / 3)


def test_average_incremental_accuracy() -> None:
    assert continual.average_incremental_accuracy(MATRIX) == pytest.approx((0.9 + 0.75 + 1.9 / 3) / 3)


def test_backward_transfer() -> None:
    assert continual.backward_transfer(MATRIX) == pytest.approx(((0.8 - 0.9) + (0.5 - 0.8)) / 2)
    assert continual.backward_transfer(MATRIX[:1]) is None


def test_forgetting_counts_from_the_best_before() -> None:
    assert continual.forgetting(MATRIX) == pytest.approx(((0.9 - 0.8) + (0.8 - 0.5)) / 2)
    # After the second task it is the loss since the first, not zero.
    assert continual.forgetting(MATRIX[:2]) == pytest.approx(0.2)
    assert continual.forgetting(MATRIX[:1]) is None


def test_forward_transfer() -> None:
    before, untrained = np.array([0.6, 0.4]), np.array([0.5, 0.5])
    assert continual.forward_transfer(before, untrained) == pytest.approx(0)
    assert continual.forward_transfer(before + 0.2, untrained) == pytest.approx(0.2)
    assert continual.forward_transfer(before[:0], untrained[:0]) is None


def test_inputs_are_not_changed() -> None:
    copy = MATRIX.copy()
    continual.forgetting(MATRIX)
    continual.backward_transfer(MATRIX)
    assert np.array_equal(copy, MATRIX, equal_nan=True)


def test_one_column_where_tasks_repeat_their_classes() -> None:
    matrix = np.array([[0.9], [0.95], [0.8]])
    assert continual.average_accuracy(matrix) == pytest.approx(0.8)
    assert continual.average_incremental_accuracy(matrix) == pytest.approx((0.9 + 0.95 + 0.8) / 3)
    assert continual.backward_transfer(matrix) == pytest.approx(-0.1)
    assert continual.forgetting(matrix) == pytest.approx(0.15)
    assert continual.backward_transfer(matrix[:1]) is None
