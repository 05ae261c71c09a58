"""Randomness by name."""

from __future__ import annotations

import random

import numpy as np
import torch

from cl_bench.seeds import derive, isolated, permutation


def test_derive_is_fixed_for_ever() -> None:
    # A changed value would silently change every published run.
    assert derive(0, "observe", 3) == 1497851933193780613
    assert len({derive(s, p) for s in range(50) for p in ("a", "b")}) == 100


def test_permutation_is_fixed_for_ever() -> None:
    assert permutation(10, 0, "class order").tolist() == [3, 2, 1, 0, 6, 4, 7, 8, 9, 5]


def test_isolated_seeds_inside_and_restores_outside() -> None:
    def draw() -> tuple[float, float, float]:
        return torch.rand(()).item(), float(np.random.rand()), random.random()

    state = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with isolated(3, "x"):
        first = draw()
    with isolated(3, "x"):
        assert draw() == first
    with isolated(3, "y"):
        assert draw() != first
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.array_equal(np.random.get_state()[1], state[1])
    assert random.getstate() == state[2]
