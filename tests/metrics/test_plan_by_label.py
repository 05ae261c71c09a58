"""Transport label by label against the whole problem."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl_bench.metrics import plan_by_label as module
from cl_bench.metrics.plan_by_label import plan_by_label
from cl_bench.metrics.wasserstein import Plan, exact_plan, squared_distances


def value(cost: torch.Tensor, plan: Plan) -> float:
    i, j, mass = plan
    return float(mass @ cost[i, j])


def problem(seed: int, apart: float, counts: tuple[int, int] = (60, 60)) -> tuple[torch.Tensor, ...]:
    """Three labels `apart` from each other, in random order, the second set moved."""
    rng = np.random.default_rng(seed)
    sides = []
    for count, shift in zip(counts, (0.0, 1.5), strict=True):
        y = rng.permutation(np.arange(count) % 3)
        x = rng.normal(size=(count, 4)) + apart * np.eye(3, 4)[y] + shift
        sides.append((torch.from_numpy(x), torch.from_numpy(y)))
    (x, rows), (z, columns) = sides
    return squared_distances(x, z), rows, columns


def never(*_: object) -> Plan:
    raise AssertionError("the whole problem was solved")


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0, 2.0, 20.0])
@pytest.mark.parametrize("counts", [(60, 60), (60, 30), (60, 50)])
def test_its_value_is_that_of_the_whole_problem(apart: float, counts: tuple[int, int]) -> None:
    for seed in range(5):
        cost, rows, columns = problem(seed, apart, counts)
        i, j, mass = plan_by_label(cost, rows, columns)
        assert value(cost, (i, j, mass)) == pytest.approx(value(cost, exact_plan(cost)), rel=1e-9)
        for where, size in ((i, counts[0]), (j, counts[1])):
            marginal = torch.zeros(size, dtype=torch.float64).index_add_(0, where, mass)
            assert marginal.numpy() == pytest.approx(np.full(size, 1 / size), abs=1e-12)


def test_labels_far_apart_never_need_the_whole_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    cost, rows, columns = problem(0, apart=20.0)
    whole = value(cost, exact_plan(cost))
    monkeypatch.setattr(module, "exact_plan", never)
    assert value(cost, plan_by_label(cost, rows, columns)) == pytest.approx(whole, rel=1e-9)


def test_labels_moved_onto_each_other_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # Label 0 lies where label 1 was: within labels everything would have to travel.
    cost, rows, columns = problem(0, apart=20.0)
    swapped = (columns + 1) % 3
    assert value(cost, plan_by_label(cost, rows, swapped)) == pytest.approx(
        value(cost, exact_plan(cost)), rel=1e-9
    )
    monkeypatch.setattr(module, "exact_plan", never)
    with pytest.raises(AssertionError, match="whole problem"):
        plan_by_label(cost, rows, swapped)


def test_shifts_between_labels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # Potentials of a label are free up to a constant: without the right ones, no plan would pass as optimal.
    cost, rows, columns = problem(3, apart=6.0)
    cost = cost + 100.0 * rows[:, None] - 50.0 * columns  # moves potentials, not the optimum
    whole = value(cost, exact_plan(cost))
    monkeypatch.setattr(module, "exact_plan", never)
    assert value(cost, plan_by_label(cost, rows, columns)) == pytest.approx(whole, rel=1e-9)
