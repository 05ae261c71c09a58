"""One of the two networks of a generative adversarial game, and its optimiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cl_bench.divergence import LossGuard
from cl_bench.progress import Progress
from cl_bench.training import Loss, MicroBatches


class Player:
    """A network that learns while the other one does not. what: names it when its loss goes bad."""

    def __init__(
        self, net: nn.Module, optimiser: torch.optim.Optimizer, what: str, progress: Progress
    ) -> None:
        self.net, self.optimiser, self.what = net, optimiser, what
        self.micro_batches = MicroBatches(optimiser, progress)
        self.guards: dict[str, LossGuard] = {}

    def plays_against(self, other: Player) -> None:
        """From here on this network learns and the other does not."""
        other.net.requires_grad_(False)
        self.net.requires_grad_(True)

    def descend(self, loss: Loss, inputs: Sequence[Tensor], term: str = "") -> list[float]:
        """One update by `loss` of `inputs`, as MicroBatches has them; what it came to. term: what of the
        network's loss this is, where there are several. Raises TrainingDiverged."""
        values = self.micro_batches.backward(loss, inputs).flatten()
        self.guards.setdefault(term, LossGuard(f"{self.what}{term}")).check(values[0])
        self.optimiser.step()
        return values.tolist()

    def rests(self) -> None:
        """Training is over."""
        self.optimiser.zero_grad()
        self.net.requires_grad_(True)
