"""A loss gone bad stops training at its step."""

from __future__ import annotations

import pytest
import torch

from cl_bench.divergence import LossGuard
from cl_bench.errors import TrainingDiverged


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_stops_at_the_step(bad: float) -> None:
    guard = LossGuard("net")
    for loss in (2.0, 1.0, 5.0):
        guard.check(torch.tensor(loss))
    with pytest.raises(TrainingDiverged, match=r"net: the loss is .* at step 4"):
        guard.check(torch.tensor(bad))


def test_a_first_loss_that_is_large_is_not_divergence() -> None:
    guard = LossGuard("net")
    for loss in (3e5, 1e6, 10.0):
        guard.check(torch.tensor(loss))
