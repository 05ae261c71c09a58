"""Entropic optimal transport between uniform measures, run until its plan has the marginals it should have.

OT_ε = min over P of ⟨P, C⟩ + ε KL(P ‖ a ⊗ b), a and b uniform  (Cuturi 2013; Peyré and Cuturi 2019, ch. 4).

The value is OT_ε with its KL term, taken from the dual: mean f + mean g. That is what POT's
`ot.solve(C, reg=ε, reg_type="KL").value` and geomloss report at convergence; `ot.sinkhorn2` reports ⟨P, C⟩,
another number. Only with the KL term is OT_ε(A, B) − ½ OT_ε(A, A) − ½ OT_ε(B, B) zero for A = B and
never negative (Feydy et al. 2019). The dual's error is of second order in the marginal error.

Sweeps are products of a fixed kernel exp((f + g − C)/ε) with scalings u and v, which are absorbed into f and
g whenever ε changes or they grow large (Schmitzer 2019): many times faster than log-sum-exp sweeps, and as
stable. ε is lowered by halves from the largest cost, so that no row of the kernel ever underflows. Sweeps are
over-relaxed (Thibault et al. 2021), as strongly as the rate seen so far says (Lehmann et al. 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-6
MAX_SWEEPS = 20_000
# A sweep in ten is not relaxed: its column error is that of a plan whose rows are exact.
CHECK_EVERY = 10


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
    for sweep in range(max_sweeps):
        marginal = u * (kernel @ u) / n
        if sweep % CHECK_EVERY == 0:
            error = float((marginal - 1).abs().mean())
            if error <= tolerance:
                return 2 * epsilon * float(u.log().mean()) - epsilon * float(marginal.mean() - 1)
        u = u / marginal.sqrt()
    raise NotConverged(error, epsilon, max_sweeps)


def _kernel(cost: Tensor, f: Tensor, g: Tensor, epsilon: float) -> Tensor:
    return (f[:, None] + g).sub_(cost).div_(epsilon).exp_()


def _balanced(kernel: Tensor, tolerance: float, budget: int) -> tuple[Tensor, Tensor, float, int]:
    """Scalings u, v that give the kernel's rows mean 1 and its columns nearly so; their error; sweeps used.

    Ends at `tolerance`, at the end of the budget, or when scalings are so large that they must be absorbed.
    """
    n, m = kernel.shape
    u, v = kernel.new_ones(n), kernel.new_ones(m)
    relaxation, previous, sweep = 1.0, math.inf, 0
    while True:
        sweep += 1
        check = sweep % CHECK_EVERY == 0
        power = 1.0 if check else relaxation
        u = u ** (1 - power) * (kernel @ v / m) ** -power
        columns = u @ kernel / n
        if check:
            error = float((v * columns - 1).abs().mean())
            extreme = float(torch.cat([u, v]).log().abs().max())
            if error <= tolerance or sweep >= budget or not extreme < 200:
                return u, v, error, sweep
            relaxation = _relaxation(relaxation, (error / previous) ** (1 / CHECK_EVERY))
            previous = error
        v = v ** (1 - power) * columns**-power


def _relaxation(now: float, rate: float) -> float:
    """The best exponent, from the factor `rate` by which errors fell per sweep with the present one.

    Young: (rate + ω − 1)² = rate ω² θ, θ the rate of plain sweeps; the best ω is 2 / (1 + √(1 − θ)).
    """
    if rate >= 1:
        return 1.0
    if rate <= now - 1 or rate == 0:
        return now
    theta = min((rate + now - 1) ** 2 / (rate * now**2), 1.0)
    return min(2 / (1 + math.sqrt(1 - theta)), 1.95)
