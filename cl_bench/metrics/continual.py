"""Summaries of the accuracy matrix R, R[t, i] = accuracy on task i after learning task t (0-based).

Sources: D. Lopez-Paz, M. Ranzato, "Gradient Episodic Memory", 2017 (ACC, BWT, FWT); A. Chaudhry et al.,
"Riemannian Walk", 2018 (forgetting); S.-A. Rebuffi et al., "iCaRL", 2017 (average incremental accuracy).
All take the rows 0 … t of R with entries at i > t ignored (NaN will do); none changes its input. Where every
task repeats the same classes R has one column, and BWT and forgetting compare with the first generation.
"""

from __future__ import annotations

import numpy as np


def average_accuracy(matrix: np.ndarray) -> float:
    """ACC = mean over i ≤ t of R[t, i], 0…1, higher is better. matrix: (t+1, ≥t+1), or (t+1, 1)."""
    t = len(matrix) - 1
    return float(np.mean(matrix[t, : t + 1]))


def average_incremental_accuracy(matrix: np.ndarray) -> float:
    """Mean of ACC after each task so far, 0…1, higher is better."""
    return float(np.mean([average_accuracy(matrix[: t + 1]) for t in range(len(matrix))]))


def backward_transfer(matrix: np.ndarray) -> float | None:
    """BWT = mean over i < t of R[t, i] − R[i, i], −1…1, higher is better; None after the first task."""
    t = len(matrix) - 1
    if t == 0:
        return None
    earlier = range(_earlier(matrix))
    return float(np.mean([matrix[t, i] - matrix[i, i] for i in earlier]))


def forgetting(matrix: np.ndarray) -> float | None:
    """F = mean over i < t of max over i ≤ s < t of R[s, i] − R[t, i], −1…1, lower is better; None after the
    first task."""
    t = len(matrix) - 1
    if t == 0:
        return None
    return float(np.mean([matrix[i:t, i].max() - matrix[t, i] for i in range(_earlier(matrix))]))


def _earlier(matrix: np.ndarray) -> int:
    """How many columns were learned before the last row."""
    return min(len(matrix) - 1, matrix.shape[1])


def forward_transfer(before: np.ndarray, untrained: np.ndarray) -> float | None:
    """FWT = mean over 1 ≤ i ≤ t of R[i−1, i] − b_i, −1…1, higher is better; None before the second task.

    before: R[i−1, i] for i = 1 … t. untrained: b_i, accuracy of the untrained network, for the same i.
    """
    if len(before) == 0:
        return None
    return float(np.mean(np.asarray(before) - np.asarray(untrained)))
