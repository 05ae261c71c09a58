"""Early stopping: keep the weights that do best on held-out data, and end when nothing better comes."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from cl_bench.state import State

LOOKS, PATIENCE = 20, 5  # looks in a whole training, and how many without improvement end it


class EarlyStop:
    """Looks at `score()`, higher is better, LOOKS times in `steps` steps of training `net`."""

    def __init__(self, net: nn.Module, steps: int, score: Callable[[], float]) -> None:
        self.net, self.score = net, score
        self.every = max(steps // LOOKS, 1)
        self.best, self.waited = float("-inf"), 0
        self.kept: State = {}

    def over(self, done: int) -> bool:
        """After `done` steps: whether to end here."""
        if done % self.every:
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
