"""Early stopping: keep the weights that do best on held-out data, and end when nothing better comes."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from cl_bench.state import State

LOOKS, PATIENCE = 20, 5  # looks in a whole training, and how many without improvement end it


class EarlyStop:
    """Looks at `score()`, higher is better, at most LOOKS times in `steps` steps of training `net`, the last
    one among them."""

    def __init__(self, net: nn.Module, steps: int, score: Callable[[], float]) -> None:
        self.net, self.steps, self.score = net, steps, score
        self.every = math.ceil(steps / LOOKS)
        self.best, self.waited = float("-inf"), 0
        self.kept: State = {}

    def over(self, done: int) -> bool:
        """After `done` steps: whether to end here."""
        if done % self.every and done != self.steps:
            return False
        now = self.score()
        self.waited = 0 if now > self.best else self.waited + 1
        if now > self.best:
            self.best = now
            self.kept = {name: value.clone() for name, value in self.net.state_dict().items()}
        return self.waited >= PATIENCE

    def restore(self) -> None:
        """Give the network the best weights seen."""
        if self.kept:
            self.net.load_state_dict(self.kept)
