"""What a training keeps on disk: a checkpoint every so often while it runs, and a record that stays.

Inside `kept_in`, a killed training goes on exactly: the same steps, the same random numbers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cl_bench import state as states
from cl_bench.processes import working
from cl_bench.state import State, prefixed, under

CHECKPOINT_SECONDS = 60.0


@dataclass
class _Place:
    """started: how many trainings began here; it numbers their files."""

    checkpoints: Path
    records: Path | None
    started: int = 0


_place: ContextVar[_Place | None] = ContextVar("where trainings keep their files", default=None)


@contextmanager
def kept_in(checkpoints: Path, records: Path | None = None) -> Iterator[None]:
    """Trainings inside keep a checkpoint in `checkpoints` while they run, go on from one that is there, and
    leave their records in `records`, a folder that exists."""
    token = _place.set(_Place(checkpoints, records))
    try:
        yield
    finally:
        _place.reset(token)


def write_record(name: str, content: Mapping[str, Any]) -> None:
    """Leave `content` as JSON in the file `name` beside the records of trainings; nowhere outside
    `kept_in`."""
    place = _place.get()
    if place is None or place.records is None or working().index:
        return
    text = json.dumps(content, indent=2) + "\n"
    (place.records / name).write_text(text, encoding="utf-8")


class Checkpoint:
    """All that a training needs to go on exactly, on disk every CHECKPOINT_SECONDS; nowhere outside
    `kept_in`.

    modules: networks and whatever else changes, as buffers. optimisers: with the learning rates of the step
    set anew by the training, if it changes them. records: folder for what stays of the training, if
    anywhere, in files that begin with `name`.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimisers: Mapping[str, torch.optim.Optimizer],
        device: torch.device,
    ) -> None:
        self.modules, self.optimisers, self.device = modules, optimisers, device
        self.path: Path | None = None
        self.records: Path | None = None
        self.name = ""
        self.saved = time.perf_counter()
        place = _place.get()
        if place is not None:
            self.name = f"training_{place.started:02d}"
            self.path = place.checkpoints / f"{self.name}.safetensors"
            # Of several processes the first one writes.
            self.records = place.records if working().index == 0 else None
            place.started += 1

    def save_now_and_then(self, done: int) -> None:
        """Save after `done` steps, unless the last time was a moment ago."""
        if time.perf_counter() - self.saved >= CHECKPOINT_SECONDS:
            self.save(done)

    def save(self, done: int) -> None:
        """Save after `done` steps."""
        if self.path is None or working().index:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        parts: dict[str, State] = {"random": {"cpu": torch.get_rng_state()}}
        if self.device.type == "cuda":
            parts["random"]["cuda"] = torch.cuda.get_rng_state(self.device)
        for name, module in self.modules.items():
            parts[f"module.{name}"] = module.state_dict()
        for name, optimiser in self.optimisers.items():
            parts[f"optimiser.{name}"] = {
                f"{index}.{key}": value
                for index, entries in optimiser.state_dict()["state"].items()
                for key, value in entries.items()
            }
        content: State = {"done": torch.tensor(done)}
        for name, part in parts.items():
            content |= prefixed(name, part)
        states.save(self.path, content)
        self.saved = time.perf_counter()

    def restore(self) -> int:
        """Take over the checkpoint that is there; the number of steps done, 0 without one."""
        if self.path is None or not self.path.exists():
            return 0
        content = states.load(self.path)
        for name, module in self.modules.items():
            module.load_state_dict(under(f"module.{name}", content))
        for name, optimiser in self.optimisers.items():
            moments: dict[int, State] = {}
            for entry, value in under(f"optimiser.{name}", content).items():
                index, _, key = entry.partition(".")
                moments.setdefault(int(index), {})[key] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})
        random = under("random", content)
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.device)
        return int(content["done"])

    def remove(self) -> None:
        """Training is over: what comes next on disk is the task's own checkpoint."""
        if self.path is not None and working().index == 0:
            self.path.unlink(missing_ok=True)
