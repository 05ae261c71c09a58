"""Entropic transport against POT's log-domain solver, and its limits."""

from __future__ import annotations

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from cl_bench.metrics.sinkhorn import NotConverged, self_transport_value, sinkhorn
from cl_bench.metrics.wasserstein import exact_plan, squared_distances


@pytest.fixture
def cost() -> Tensor:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), 1.2 * rng.normal(size=(45, 3)) + 0.5
    return squared_distances(torch.from_numpy(x), torch.from_numpy(y))


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 5.0, 100.0])
def test_agrees_with_pot(cost: Tensor, epsilon: float) -> None:
    ours = sinkhorn(cost, epsilon, tolerance=1e-9)
    theirs = ot.solve(cost.numpy(), reg=epsilon, reg_type="KL", max_iter=20_000, tol=1e-12)
    assert ours.value == pytest.approx(theirs.value, rel=1e-9)
    assert ours.plan.numpy() == pytest.approx(theirs.plan, abs=1e-9)


def test_value_is_the_linear_part_and_the_kl_term(cost: Tensor) -> None:
    n, m = cost.shape
    solved = sinkhorn(cost, 0.5, tolerance=1e-10)
    divergence = float((solved.plan * (solved.plan * n * m).log()).sum())
    linear = float((solved.plan * cost).sum())
    assert solved.value == pytest.approx(linear + 0.5 * divergence, rel=1e-9)
    assert solved.value > linear


def test_the_error_of_the_value_is_of_second_order_in_that_of_the_marginals(cost: Tensor) -> None:
    exact = sinkhorn(cost, 0.3, tolerance=1e-11).value
    rough = sinkhorn(cost, 0.3, tolerance=1e-4)
    assert 1e-8 < rough.marginal_error < 1e-4
    assert rough.value == pytest.approx(exact, rel=1e-6)


def test_a_small_epsilon_tends_to_exact_transport(cost: Tensor) -> None:
    rows, columns, mass = exact_plan(cost)
    exact = float(mass @ cost[rows, columns])
    # 0 ≤ OT_ε − OT ≤ ε KL ≤ ε log min(n, m), the most that a plan of these marginals can have.
    for epsilon in (0.3, 0.1, 0.03):
        value = sinkhorn(cost, epsilon).value
        assert 0 < value - exact < epsilon * np.log(45)


def test_the_limit_of_a_large_epsilon_is_the_product_plan(cost: Tensor) -> None:
    assert sinkhorn(cost, 1e6).value == pytest.approx(float(cost.mean()), rel=1e-4)


def test_stays_stable_where_the_plain_kernel_underflows() -> None:
    # exp(−C/ε) is 0 in float64 between every two points.
    cost = 1e6 + squared_distances(
        *(torch.from_numpy(np.random.default_rng(i).normal(size=(30, 2))) for i in (0, 1))
    )
    solved = sinkhorn(cost, 1.0)
    assert solved.value == pytest.approx(1e6 + sinkhorn(cost - 1e6, 1.0).value, rel=1e-10)
    assert solved.marginal_error < 1e-6


def test_far_clusters_of_other_masses_converge_or_say_that_they_did_not() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.normal(size=(20, 2)), 100 + rng.normal(size=(10, 2))])
    y = np.concatenate([rng.normal(size=(10, 2)), 100 + rng.normal(size=(20, 2))])
    cost = squared_distances(torch.from_numpy(x), torch.from_numpy(y))
    rows, columns, mass = exact_plan(cost)
    # ε is a twentieth of the median cost, and as large as the costs within a cluster.
    solved = sinkhorn(cost, 1000.0)
    assert solved.marginal_error < 1e-6
    assert 0 < solved.value - float(mass @ cost[rows, columns]) < 1000 * np.log(30)
    with pytest.raises(NotConverged, match=r"marginal error .* after 50 sweeps"):
        sinkhorn(cost, 1.0, max_sweeps=50)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 50.0])
def test_self_transport_is_transport_to_itself(epsilon: float) -> None:
    x = torch.from_numpy(np.random.default_rng(3).normal(size=(50, 3)))
    cost = squared_distances(x, x)
    theirs = ot.solve(cost.numpy(), reg=epsilon, reg_type="KL", max_iter=50_000, tol=1e-11).value
    assert self_transport_value(cost, epsilon) == pytest.approx(theirs, rel=1e-7)


def test_self_transport_of_distinct_points_tends_to_epsilon_log_n() -> None:
    x = torch.arange(40, dtype=torch.float64)[:, None]
    assert self_transport_value(squared_distances(x, x), 0.01) == pytest.approx(0.01 * np.log(40), rel=1e-9)
    with pytest.raises(NotConverged):
        self_transport_value(squared_distances(x, x), 1.0, max_sweeps=1)


def test_zero_costs_cost_nothing() -> None:
    zero = torch.zeros(4, 6, dtype=torch.float64)
    assert sinkhorn(zero, 1.0).value == pytest.approx(0, abs=1e-12)
    assert self_transport_value(zero[:, :4], 1.0) == pytest.approx(0, abs=1e-12)
