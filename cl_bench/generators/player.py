"""One of the two networks of a generative adversarial game, and its optimiser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cl_bench.divergence import LossGuard


class Player:
    """A network that learns while the other one does not."""

    def __init__(self, net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        self.net, self.optimiser = net, optimiser

    def plays_against(self, other: Player) -> None:
        """From here on this network learns and the other does not."""
        other.net.requires_grad_(False)
        self.net.requires_grad_(True)

    def descend(self, loss: Tensor, guard: LossGuard) -> float:
        """One update; the loss. Raises TrainingDiverged."""
        value = guard.check(loss)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return value

    def rests(self) -> None:
        """Training is over."""
        self.optimiser.zero_grad()
        self.net.requires_grad_(True)
