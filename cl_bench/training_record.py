"""What is known about a training afterwards: its loss curve, its speed, and grids of samples on the way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cl_bench.checkpoint import Checkpoint
from cl_bench.costs import uncounted
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.tiles import tiles

POINTS = 200  # of a loss curve
COLUMNS = 8  # samples per class in a grid


class TrainingRecord(nn.Module):
    """Loss curve of one training of `steps` steps, at most POINTS means over equally many steps each; part
    of the checkpoint, so that a stopped training's curve is whole."""

    sums: Tensor

    def __init__(self, what: str, steps: int, batch: int) -> None:
        super().__init__()
        self.what, self.steps, self.batch = what, steps, batch
        self.stride = -(-steps // POINTS)
        self.register_buffer("sums", torch.zeros(-(-steps // self.stride), dtype=torch.float64))
        self.start, self.first_step = time.perf_counter(), 0

    def begin(self, done: int) -> None:
        """The first step of this process comes now, after `done` steps of an earlier one."""
        self.start, self.first_step = time.perf_counter(), done

    def add(self, step: int, loss: float) -> None:
        self.sums[step // self.stride] += loss

    def curve(self) -> list[tuple[int, float]]:
        """(last step of the mean, from 1; mean loss)."""
        starts = range(0, self.steps, self.stride)
        ends = [min(start + self.stride, self.steps) for start in starts]
        totals = self.sums.tolist()
        return [(b, total / (b - a)) for a, b, total in zip(starts, ends, totals, strict=True)]

    def images_per_second(self) -> float:
        """Of this process's steps."""
        images = (self.steps - self.first_step) * self.batch
        return images / max(time.perf_counter() - self.start, 1e-9)

    def write(self, checkpoint: Checkpoint) -> None:
        """Leave the record where the checkpoint says that records go."""
        if checkpoint.records is None:
            return
        content = {
            "what": self.what,
            "steps": self.steps,
            "batch": self.batch,
            "images_per_second": round(self.images_per_second(), 1),
            "loss": self.curve(),
        }
        path = checkpoint.records / f"{checkpoint.name}.json"
        path.write_text(json.dumps(content, indent=None) + "\n", encoding="utf-8")


class Previews:
    """A grid of samples every `every` steps (0: none), of `classes`, drawn by `sample`: labels to images.

    The pictures lie with the records as training_00_step_000500.png; training draws no other random
    numbers for them.
    """

    def __init__(
        self,
        every: int,
        sample: Callable[[Tensor], Tensor],
        classes: Sequence[int],
        checkpoint: Checkpoint,
    ) -> None:
        self.every, self.sample, self.classes, self.checkpoint = every, sample, classes, checkpoint

    def after(self, done: int) -> None:
        """Draw a grid after `done` steps, if one is due."""
        if not self.every or done % self.every:
            return
        labels = torch.tensor(self.classes).repeat_interleave(COLUMNS)
        with isolated(0, "preview"), uncounted():
            x = self.sample(labels)
        folder = self.checkpoint.records
        if folder is None:
            return
        from PIL import Image

        picture = tiles(Samples.real(x, labels), self.classes, COLUMNS)
        Image.fromarray(picture.numpy()).save(folder / f"{self.checkpoint.name}_step_{done:06d}.png")
