"""Entropic optimal transport between uniform measures, run until its plan has the marginals it should have.

OT_ε = min over P of ⟨P, C⟩ + ε KL(P ‖ a ⊗ b), a and b uniform  (Cuturi 2013; Peyré and Cuturi 2019, ch. 4).

The value is OT_ε with its KL term, taken from the dual: mean f + mean g. That is what POT's
`ot.solve(C, reg=ε, reg_type="KL").value` and geomloss report at convergence; `ot.sinkhorn2` reports ⟨P, C⟩,
another number. Only with the KL term is OT_ε(A, B) − ½ OT_ε(A, A) − ½ OT_ε(B, B) zero for A = B and
never negative (Feydy et al. 2019). The dual's error is of second order in the marginal error.

Sweeps are products of a fixed kernel exp((f + g − C)/ε) with scalings u and v, which are absorbed into f and
g whenever ε changes or they grow large (Schmitzer 2019): many times faster than log-sum-exp sweeps, and as
stable. ε is lowered by halves from the largest cost, so that no row of the kernel ever underflows. log v is
extrapolated from the last sweeps (Anderson 1965; for Sinkhorn's, Thibault et al. 2017, arXiv 1711.01851),
which saves most of them where plain ones are slow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-6
MAX_SWEEPS = 20_000
# Sweeps that the extrapolation remembers.
MEMORY = 5


class NotConverged(ArithmeticError):
    """The plan's marginals are still wrong after the last sweep allowed."""

    def __init__(self, error: float, epsilon: float, sweeps: int) -> None:
        super().__init__(
            f"Sinkhorn's marginal error is {error:.1e} after {sweeps} sweeps at epsilon {epsilon:.3g}; "
            "take a larger epsilon, or exact transport"
        )


@dataclass(frozen=True)
class EntropicTransport:
    """value: OT_ε, in the cost's units. plan: (n, m), sums to 1. marginal_error: ‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁."""

    value: float
    plan: Tensor
    marginal_error: float


def sinkhorn(
    cost: Tensor, epsilon: float, tolerance: float = TOLERANCE, max_sweeps: int = MAX_SWEEPS
) -> EntropicTransport:
    """Transport between uniform measures at `cost` (n, m), float64 and ≥ 0, on the cost's device.

    epsilon: in the cost's units, > 0. Raises NotConverged unless the marginal error falls to `tolerance`.
    """
    n, m = cost.shape
    f, g = cost.new_zeros(n), cost.new_zeros(m)
    temperature, sweeps = max(float(cost.max()), epsilon), 0
    while True:
        last = temperature == epsilon
        wanted = tolerance if last else 0.1
        u, v, error, used = _balanced(_kernel(cost, f, g, temperature), wanted, max_sweeps - sweeps)
        f, g, sweeps = f + temperature * u.log(), g + temperature * v.log(), sweeps + used
        if error <= wanted and last:
            break
        if sweeps >= max_sweeps or math.isnan(error):
            raise NotConverged(error, epsilon, sweeps)
        if error <= wanted:
            temperature = max(temperature / 2, epsilon)
    plan = _kernel(cost, f, g, epsilon).div_(n * m)
    error = float((plan.sum(1) - 1 / n).abs().sum() + (plan.sum(0) - 1 / m).abs().sum())
    return EntropicTransport(float(f.mean() + g.mean()), plan, error)


def self_transport_value(
    cost: Tensor, epsilon: float, tolerance: float = TOLERANCE, max_sweeps: int = MAX_SWEEPS
) -> float:
    """OT_ε of a measure to itself: `cost` (n, n) symmetric with zero diagonal.

    Both potentials are one, and the averaged fixed point of its update converges in tens of sweeps, where
    alternating ones may need 10⁵ (Feydy et al. 2019, §3.1). The diagonal keeps the kernel from underflowing.
    """
    n = len(cost)
    kernel = torch.exp(cost / -epsilon)
    u = cost.new_ones(n)
    for _ in range(max_sweeps):
        marginal = u * (kernel @ u) / n
        error = float((marginal - 1).abs().mean())
        if error <= tolerance:
            return epsilon * float(2 * u.log().mean() - marginal.mean() + 1)
        u = u / marginal.sqrt()
    raise NotConverged(error, epsilon, max_sweeps)


def _kernel(cost: Tensor, f: Tensor, g: Tensor, epsilon: float) -> Tensor:
    return (f[:, None] + g).sub_(cost).div_(epsilon).exp_()


def _balanced(kernel: Tensor, tolerance: float, budget: int) -> tuple[Tensor, Tensor, float, int]:
    """Scalings u, v that give the kernel's rows mean 1 and its columns nearly so; their error; sweeps used.

    Ends at `tolerance`, at the end of the budget, or when scalings are so large that they must be absorbed.
    """
    n, m = kernel.shape
    log_v, sweep, least = kernel.new_zeros(m), 0, math.inf
    past: list[tuple[Tensor, Tensor]] = []
    while True:
        sweep += 1
        v = log_v.exp()
        u = m / (kernel @ v)
        columns = v * (u @ kernel) / n
        error = float((columns - 1).abs().mean())
        if error <= tolerance or sweep >= budget or not float(log_v.abs().max()) < 200:
            return u, v, error, sweep
        if error > 2 * least:
            past, least = [], error
        least = min(least, error)
        step = -columns.log()  # What a plain sweep would add to log v.
        now = log_v, step
        log_v = log_v + step - _correction(past, now)
        past = [*past, now][-MEMORY:]


def _correction(past: list[tuple[Tensor, Tensor]], now: tuple[Tensor, Tensor]) -> Tensor:
    """Anderson's correction: of the past points and steps, the combination whose steps cancel best."""
    where, step = now
    if not past:
        return torch.zeros_like(step)
    moves = torch.stack([where - before for before, _ in past])
    changes = torch.stack([step - taken for _, taken in past])
    gram = changes @ changes.T
    gram.diagonal().add_(1e-14 * gram.trace() + 1e-300)
    weights = torch.linalg.solve(gram, changes @ step)
    return weights @ (moves + changes)
