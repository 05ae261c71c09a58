"""Optimal transport dataset distance (D. Alvarez-Melis, N. Fusi, "Geometric Dataset Distances via Optimal
Transport", NeurIPS 2020, eq. 5 and 7).

OTDD(A, B) = min over couplings π of E_π[‖x − x′‖² + W₂²(α_y, α_y′)], with α_y the law of the features of
label y, as a Gaussian ("gaussian approximation", §4.2). The outer problem is solved exactly, so OTDD(A,
A) = 0 and no debiasing is needed. This is the paper's scale; microsoft/otdd reports half of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_bench.metrics import gaussian


@dataclass(frozen=True)
class OTDDResult:
    """value = feature_part + label_part, in squared feature units, ≥ 0, lower is closer.

    label_distances: W₂² between the labels' laws, (labels of A, labels of B), ascending labels.
    """

    value: float
    feature_part: float
    label_part: float
    label_distances: np.ndarray


def otdd(x_a: np.ndarray, y_a: np.ndarray, x_b: np.ndarray, y_b: np.ndarray) -> OTDDResult:
    """Distance of two labelled sets: x (n, d) finite, y (n,) any labels; the sets may differ in size.

    Exact network simplex (POT's `emd`), cubic in the worst case: meant for n up to some thousands.
    Raises ValueError for empty or non-finite sets.
    """
    ot = _import_ot()
    x_a, x_b = np.asarray(x_a, dtype=np.float64), np.asarray(x_b, dtype=np.float64)
    labels_a, index_a = np.unique(y_a, return_inverse=True)
    labels_b, index_b = np.unique(y_b, return_inverse=True)
    fits_a = [gaussian.fit(x_a[index_a == k]) for k in range(len(labels_a))]
    fits_b = [gaussian.fit(x_b[index_b == k]) for k in range(len(labels_b))]
    if not fits_a or not fits_b:
        raise ValueError("OTDD of an empty set")
    between = gaussian.distance_matrix(fits_a, fits_b)
    feature_cost = ot.dist(x_a, x_b)
    label_cost = between[np.ix_(index_a, index_b)]
    plan = ot.emd([], [], feature_cost + label_cost, numItermax=10_000_000)
    feature_part, label_part = float((plan * feature_cost).sum()), float((plan * label_cost).sum())
    return OTDDResult(feature_part + label_part, feature_part, label_part, between)


def _import_ot() -> Any:
    """POT imports every array library it finds unless told not to; JAX alone costs ten seconds."""
    backends = ("JAX", "TENSORFLOW", "CUPY")
    unset = [key for name in backends if (key := f"POT_BACKEND_DISABLE_{name}") not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        import ot
    finally:
        for key in unset:
            del os.environ[key]
    return ot
