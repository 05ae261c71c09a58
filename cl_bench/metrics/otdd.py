"""Optimal transport dataset distance (D. Alvarez-Melis, N. Fusi, "Geometric Dataset Distances via Optimal
Transport", NeurIPS 2020, eq. 5 and 7).

OTDD(A, B) = min over couplings π of E_π[λ_x ‖x − x′‖² + λ_y W₂²(α_y, α_y′)], with α_y the law of the features
of label y: as a Gaussian ("gaussian approximation", §4.2) or as the samples themselves ("exact").

The outer problem is solved exactly (EMD), so OTDD(A, A) = 0 and no debiasing is needed, or with an entropic
term (Sinkhorn, metrics/sinkhorn.py), whose bias is taken off by default. Sinkhorn's value is OT_ε with its KL
term in all three places, OT_ε(A, B) − ½ OT_ε(A, A) − ½ OT_ε(B, B), each with the label distances of its own
two sides. It tends to EMD's as ε → 0. At other ε it is another distance, much smaller for two draws of
one law, since detail below √ε is blurred: compare values of one solver and one relative ε.

microsoft/otdd solves the Sinkhorn problem at half of both costs with ε = 0.1, in some ten annealed sweeps.
Its scale is `scale="microsoft"`; its numbers are not converged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from cl_bench.metrics import gaussian
from cl_bench.metrics.labelled import Labelled, labelled
from cl_bench.metrics.pairwise import same_dimensions
from cl_bench.metrics.plan_by_label import plan_by_label
from cl_bench.metrics.sinkhorn import self_transport_value, sinkhorn
from cl_bench.metrics.wasserstein import (
    exact_plan,
    squared_distances,
    squared_w2,
)

Inner = Literal["gaussian", "exact"]
Outer = Literal["auto", "emd", "sinkhorn"]
Scale = Literal["paper", "microsoft"]

# Up to here, in the larger set, EMD on a CPU is faster than a converged Sinkhorn and exact.
EMD_LIMIT = 5_000
# Of the median cost: tens to hundreds of sweeps, and on digits and Gaussian mixtures 2 to 15 % below EMD.
EPSILON = 0.01


@dataclass(frozen=True)
class OTDDResult:
    """value = feature_part + label_part + entropy_part − self_part, squared feature units, lower is closer.

    feature_part, label_part: ⟨P, C_x⟩ and ⟨P, C_y⟩ of the coupling P, weighted and scaled as the value is.
    entropy_part: ε KL(P ‖ a ⊗ b). self_part: ½ OT_ε(A, A) + ½ OT_ε(B, B) if debiased. Both are 0 for EMD.
    label_distances: W₂² between the labels' laws, (labels of A, labels of B), ascending labels, neither
    weighted nor scaled. marginal_error: ‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁, 0 for EMD to rounding. outer: the solver that
    was used. epsilon: ε in the units of the value, 0 for EMD.
    """

    value: float
    feature_part: float
    label_part: float
    label_distances: np.ndarray
    entropy_part: float
    self_part: float
    marginal_error: float
    outer: Literal["emd", "sinkhorn"]
    epsilon: float


def otdd(
    x_a: np.ndarray | Tensor,
    y_a: np.ndarray | Tensor,
    x_b: np.ndarray | Tensor,
    y_b: np.ndarray | Tensor,
    *,
    inner: Inner = "gaussian",
    outer: Outer = "auto",
    epsilon: float | None = None,
    debias: bool = True,
    scale: Scale = "paper",
    feature_weight: float = 1.0,
    label_weight: float = 1.0,
) -> OTDDResult:
    """Distance of two labelled sets: x (n, d) finite, y (n,) any labels; sizes and labels may differ.

    inner: the labels' laws. outer: "emd" (POT's network simplex, on the CPU, cubic in the worst case),
    "sinkhorn" (on the device of x_a, some n × m float64 at a time) or "auto": EMD up to 5,000 samples a side.
    epsilon: Sinkhorn's, relative to the median cost between A and B; 0.01 unless given. debias: take
    Sinkhorn's self terms off; EMD has none. scale: "paper", or "microsoft", half of it. feature_weight,
    label_weight: λ_x, λ_y ≥ 0.

    A label with one sample has covariance 0. Raises ValueError for empty, non-finite or mismatched sets and
    for options out of range, ArithmeticError when the outer problem was not solved.
    """
    if outer == "emd" and epsilon is not None:
        raise ValueError('epsilon has no effect with outer="emd"')
    if epsilon is not None and not 0 < epsilon < np.inf:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    if not (0 <= feature_weight < np.inf and 0 <= label_weight < np.inf):
        raise ValueError(f"weights must be ≥ 0, got {feature_weight} and {label_weight}")
    for option, choices in ((inner, Inner), (outer, Outer), (scale, Scale)):
        if option not in get_args(choices):
            raise ValueError(f"unknown option {option!r}; expected one of {', '.join(get_args(choices))}")

    a, b = labelled(x_a, y_a), labelled(x_b, y_b)
    same_dimensions(a.x, b.x)
    factor = 1.0 if scale == "paper" else 0.5
    weights = factor * feature_weight, factor * label_weight
    between = _label_distances(a, b, inner)
    if outer == "emd" or (outer == "auto" and max(len(a.x), len(b.x)) <= EMD_LIMIT):
        return _by_emd(a, b, between, weights)
    return _by_sinkhorn(a, b, between, weights, inner, epsilon or EPSILON, debias)


def _by_emd(a: Labelled, b: Labelled, between: np.ndarray, weights: tuple[float, float]) -> OTDDResult:
    cost = _cost(a, b, between, weights)
    # By label only where the sets have the same ones: index k is then one label on both sides.
    same = np.array_equal(a.labels, b.labels)
    i, j, mass = plan_by_label(cost, a.index, b.index) if same else exact_plan(cost)
    # From differences, so that equal rows are at distance 0 exactly.
    moved = (a.x.cpu()[i] - b.x.cpu()[j]).square().sum(1)
    relabelled = torch.from_numpy(between)[a.index.cpu()[i], b.index.cpu()[j]]
    feature_part, label_part = weights[0] * float(mass @ moved), weights[1] * float(mass @ relabelled)
    error = sum(
        float((torch.zeros(n, dtype=torch.float64).index_add_(0, where, mass) - 1 / n).abs().sum())
        for n, where in ((len(a.x), i), (len(b.x), j))
    )
    return OTDDResult(
        value=feature_part + label_part,
        feature_part=feature_part,
        label_part=label_part,
        label_distances=between,
        entropy_part=0.0,
        self_part=0.0,
        marginal_error=error,
        outer="emd",
        epsilon=0.0,
    )


def _by_sinkhorn(
    a: Labelled,
    b: Labelled,
    between: np.ndarray,
    weights: tuple[float, float],
    inner: Inner,
    relative_epsilon: float,
    debias: bool,
) -> OTDDResult:
    b = b.to(a.x.device)
    cost = _cost(a, b, between, weights)
    # The median is 0 when most points coincide, and the mean when all do: then any ε gives 0.
    epsilon = relative_epsilon * (float(cost.median()) or float(cost.mean()) or 1.0)
    solved = sinkhorn(cost, epsilon)
    # The label part from the labels' own coupling, which is small; the features have the rest.
    by_rows = cost.new_zeros(len(a.labels), len(b.x)).index_add_(0, a.index, solved.plan)
    by_labels = cost.new_zeros(len(a.labels), len(b.labels)).index_add_(1, b.index, by_rows)
    label_part = weights[1] * float((by_labels.cpu().numpy() * between).sum())
    linear = float(torch.tensordot(solved.plan, cost))
    value, error = solved.value, solved.marginal_error
    del cost, solved, by_rows
    self_part = 0.0
    if debias:
        for side in (a, b):
            own = _cost(side, side, _label_distances(side, side, inner), weights)
            self_part += 0.5 * self_transport_value(own, epsilon)
    return OTDDResult(
        value=value - self_part,
        feature_part=linear - label_part,
        label_part=label_part,
        label_distances=between,
        entropy_part=value - linear,
        self_part=self_part,
        marginal_error=error,
        outer="sinkhorn",
        epsilon=epsilon,
    )


def _label_distances(a: Labelled, b: Labelled, inner: Inner) -> np.ndarray:
    """W₂² between the labels' laws, (labels of a, labels of b); each pair once when a is b."""
    if inner == "gaussian":
        return gaussian.distance_matrix(a.gaussians, b.gaussians)
    if a is not b:
        return np.array([[squared_w2(p, q) for q in b.parts] for p in a.parts])
    between = np.zeros((len(a.parts),) * 2)
    for i, part in enumerate(a.parts):
        for j in range(i):
            between[i, j] = between[j, i] = squared_w2(part, a.parts[j])
    return between


def _cost(a: Labelled, b: Labelled, between: np.ndarray, weights: tuple[float, float]) -> Tensor:
    """weights[0] ‖x − x′‖² + weights[1] W₂²(α_y, α_y′), (n, m), on the device of `a`; b is taken there."""
    b = b.to(a.x.device)
    cost = squared_distances(a.x, b.x).mul_(weights[0])
    labels = torch.from_numpy(between).to(cost)
    return cost.add_(labels[a.index][:, b.index], alpha=weights[1])
