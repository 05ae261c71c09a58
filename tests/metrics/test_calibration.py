"""Calibration error by hand, by construction and beside torchmetrics; recall beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score

from cl_bench.metrics.calibration import (
    expected_calibration_error,
    from_logits,
    per_class_recall,
    reliability,
)


def binary(confidence: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes, the first on top, and labels that make them right where asked."""
    return np.stack([confidence, 1 - confidence], axis=1), np.where(right, 0, 1)


def test_error_by_hand() -> None:
    # (0.6, 0.7] holds .62 right and .68 wrong: |.5 − .65|. (0.9, 1] holds .92 and 1, right: |1 − .96|.
    p, y = binary(np.array([0.62, 0.68, 0.92, 1.0]), np.array([True, False, True, True]))
    table = reliability(p, y, bins=10)
    assert table.count.tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert table.confidence[[6, 9]] == pytest.approx([0.65, 0.96])
    assert table.accuracy[[6, 9]] == pytest.approx([0.5, 1])
    assert np.isnan(table.accuracy[0])
    assert expected_calibration_error(p, y, bins=10) == pytest.approx(0.5 * 0.15 + 0.5 * 0.04)


def test_bins_include_their_upper_end() -> None:
    p, y = binary(np.array([0.75, 0.7500001]), np.array([True, True]))
    assert reliability(p, y, bins=4).count.tolist() == [0, 0, 1, 1]


def test_sure_and_always_wrong_is_one_and_sure_and_right_is_zero() -> None:
    sure = np.eye(3)[[0, 1, 2, 0]]
    assert expected_calibration_error(sure, np.array([1, 2, 0, 1])) == 1
    assert expected_calibration_error(sure, np.array([0, 1, 2, 0])) == 0


@pytest.mark.parametrize("n", [500, 20_000])
def test_calibrated_predictions_have_the_expected_error(n: int) -> None:
    # |accuracy − confidence| of a bin is half-normal with variance V/n_m², V = Σ p(1−p), if calibrated.
    rng = np.random.default_rng(n)
    confidence = rng.uniform(0.5, 1, n)
    p, y = binary(confidence, rng.random(n) < confidence)
    variances = np.bincount(np.ceil(confidence * 15).astype(int), confidence * (1 - confidence))
    expected = np.sqrt(2 * variances / np.pi).sum() / n
    error = np.sqrt((1 - 2 / np.pi) * variances.sum()) / n
    assert abs(expected_calibration_error(p, y) - expected) < 5 * error


def test_overconfidence_by_a_tenth_is_a_tenth() -> None:
    rng, n = np.random.default_rng(0), 50_000
    confidence = rng.uniform(0.75, 1, n)
    p, y = binary(confidence, rng.random(n) < confidence - 0.1)
    assert expected_calibration_error(p, y) == pytest.approx(0.1, abs=5 * 0.5 / np.sqrt(n))


# Slow only to import.
@pytest.mark.slow
def test_agrees_with_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(1)
    p, y = from_logits(3 * rng.normal(size=(400, 7))), rng.integers(7, size=400)
    oracle = functional.multiclass_calibration_error(
        torch.tensor(p), torch.tensor(y), num_classes=7, n_bins=15
    )
    assert expected_calibration_error(p, y) == pytest.approx(float(oracle), abs=1e-6)


def test_probabilities_of_logits_are_finite_where_exponentials_are_not() -> None:
    assert from_logits(np.array([[1e4, 0], [0, np.log(3)]])) == pytest.approx(
        np.array([[1, 0], [0.25, 0.75]])
    )


def test_recall_by_hand_and_beside_scikit_learn() -> None:
    labels = np.array([0, 0, 0, 2, 2, 4])
    predictions = np.array([0, 0, 2, 2, 3, 0])
    found = per_class_recall(predictions, labels, num_classes=5)
    assert found == pytest.approx([2 / 3, np.nan, 1 / 2, np.nan, 0], nan_ok=True)
    oracle = recall_score(labels, predictions, labels=[0, 2, 4], average=None)
    assert found[[0, 2, 4]] == pytest.approx(oracle)


def test_degenerate_input_is_refused() -> None:
    p, y = binary(np.array([0.7]), np.array([True]))
    with pytest.raises(ValueError, match="softmax"):
        reliability(np.array([[2.0, -1.0]]), y)
    with pytest.raises(ValueError, match="softmax"):
        reliability(p * np.nan, y)
    with pytest.raises(ValueError, match=r"columns 0…1, got 5…5"):
        reliability(p, y + 5)
    with pytest.raises(ValueError, match="n ≥ 1"):
        reliability(p[:0], y[:0])
    with pytest.raises(ValueError, match="n ≥ 1"):
        per_class_recall(y[:0], y[:0], 3)
    with pytest.raises(ValueError, match="classes 0…2"):
        per_class_recall(np.array([3]), np.array([0]), 3)
