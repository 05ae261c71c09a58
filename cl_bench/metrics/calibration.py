"""Is a classifier as often right as it says? And which classes does it still find?

C. Guo, G. Pleiss, Y. Sun, K. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: per bin of confidence ((m−1)/M, m/M] its samples, their mean confidence and
    their accuracy, each (M,); the last two are NaN where the bin is empty."""

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error Σ_m n_m/n |accuracy_m − confidence_m| (Guo et al., eq. 3), 0…1, lower
        is better.

        Biased upwards: a calibrated classifier has Σ_m √(2 V_m/π) / n on average, V_m the sum of p(1−p) over
        the bin; that is 0.04 for 500 samples with confidences spread evenly over ½…1.
        """
        gaps = np.abs(np.nan_to_num(self.accuracy - self.confidence))
        return float(self.count @ gaps / self.count.sum())


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> Reliability:
    """Bin the top label's probability in equal widths: probabilities (n, K), labels (n,) columns 0…K−1.

    For logits, pass `from_logits(logits)`. Guo's bins include their upper end, so that a confidence of 1 is
    in the last one; torchmetrics gives it a bin of its own. ValueError for an empty set, rows that are no
    probabilities, or labels that are no columns.
    """
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or p.size == 0 or labels.shape != (len(p),):
        raise ValueError(f"expected (n, K) and (n,) with n ≥ 1, got {p.shape} and {labels.shape}")
    if not (p.min() >= 0 and np.abs(p.sum(1) - 1).max() < 1e-3):
        raise ValueError("expected rows of probabilities, which are ≥ 0 and sum to 1; logits need a softmax")
    if labels.min() < 0 or labels.max() >= p.shape[1]:
        raise ValueError(f"labels must be columns 0…{p.shape[1] - 1}, got {labels.min()}…{labels.max()}")
    confidence, right = p.max(1), p.argmax(1) == labels
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    count = np.bincount(bin_of, minlength=bins)
    sums = [np.bincount(bin_of, weights, bins) for weights in (confidence, right)]
    means = [np.divide(s, count, out=np.full(bins, np.nan), where=count > 0) for s in sums]
    return Reliability(count, *means)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """`reliability(…).error`: expected calibration error of the top label, 0…1, lower is better."""
    return reliability(probabilities, labels, bins).error


def from_logits(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits (n, K), in float64. Leave out columns of classes that may not be predicted."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64), axis=1))


def per_class_recall(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of each class's samples that are predicted as it, (num_classes,) in 0…1, higher is better; NaN
    for classes that no label has. predictions, labels: (n,) classes 0…num_classes−1. ValueError otherwise."""
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or predictions.shape != labels.shape:
        raise ValueError(f"expected (n,) and (n,) with n ≥ 1, got {predictions.shape} and {labels.shape}")
    if min(labels.min(), predictions.min()) < 0 or max(labels.max(), predictions.max()) >= num_classes:
        raise ValueError(f"labels and predictions must be classes 0…{num_classes - 1}")
    there = np.bincount(labels, minlength=num_classes)
    found = np.bincount(labels[predictions == labels], minlength=num_classes)
    return np.divide(found, there, out=np.full(num_classes, np.nan), where=there > 0)
