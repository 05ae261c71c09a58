"""Several processes that work as one: `accelerate launch … -m cl_bench run …`.

Every process runs the same program and draws the same random numbers. Inside `together`, each computes its
rows of every batch and gradients are summed, so that N processes train as one does at the same batch; so
is sampling shared out. Outside, the first process works alone: it judges, and it alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

# The others wait in a collective while the first one judges a task.
PATIENCE = timedelta(days=7)


def launched() -> int:
    """How many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def first() -> bool:
    """Whether this is the process that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0


@dataclass(frozen=True)
class Processes:
    """`index` of `count` processes. state: Accelerate's, None where there is one process only."""

    index: int = 0
    count: int = 1
    state: Any = None

    def rows(self, n: int) -> slice:
        """This process's part of n rows; the parts differ by at most one row."""
        return slice(n * self.index // self.count, n * (self.index + 1) // self.count)

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each of `tensors` (of one type) by its sum over the processes; one message for all."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def gathered(self, part: Tensor, n: int) -> Tensor:
        """All n rows of what each process has its `rows` of, on the CPU."""
        if self.count == 1:
            return part
        whole = torch.zeros(n, *part.shape[1:], dtype=part.dtype, device=self.state.device)
        whole[self.rows(n)] = part.to(self.state.device)
        torch.distributed.all_reduce(whole)
        return whole.cpu()

    def agree(self, value: int) -> int:
        """The first process's `value`; the others wait for it."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, device=self.state.device)
        torch.distributed.broadcast(shared, 0)
        return int(shared)

    def follow(self, tensors: Sequence[Tensor]) -> None:
        """Give each of `tensors` the first process's values."""
        for tensor in tensors if self.count > 1 else ():
            torch.distributed.broadcast(tensor, 0)


ALONE = Processes()
_working: ContextVar[Processes] = ContextVar("the processes that share the present work", default=ALONE)


def join(device: str) -> Processes:
    """The processes that the launcher started. device: "cpu" or "cuda"."""
    if launched() == 1:
        return ALONE
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state)


@contextmanager
def together(processes: Processes) -> Iterator[None]:
    """Trainings and sampling inside are shared by `processes`."""
    token = _working.set(processes)
    try:
        yield
    finally:
        _working.reset(token)


def working() -> Processes:
    """The processes that share what is done now."""
    return _working.get()
