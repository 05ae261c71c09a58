"""Stop a training that has gone wrong, at the step where it did."""

from __future__ import annotations

import math

from torch import Tensor

from cl_bench.errors import TrainingDiverged


class LossGuard:
    """Watches one training's loss; `what` names it in the error.

    A loss is diverging when it is not finite, or above `factor` times its first value (at least 1).
    """

    def __init__(self, what: str, factor: float = 1e4) -> None:
        self.what, self.factor = what, factor
        self._bound = math.inf
        self._step = 0

    def check(self, loss: Tensor) -> float:
        """Call once a step, before the update: the loss as a number. Raises TrainingDiverged."""
        self._step += 1
        value = loss.item()
        if self._step == 1:
            self._bound = self.factor * max(abs(value), 1.0)
        if not math.isfinite(value) or abs(value) > self._bound:
            raise TrainingDiverged(self.what, self._step, value)
        return value
