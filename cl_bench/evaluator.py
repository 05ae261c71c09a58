"""The evaluator contract, and the evidence that evaluators share: each part computed once per task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from cl_bench.progress import Progress
from cl_bench.reference import Reference
from cl_bench.rows import Measurement, Metric, Row
from cl_bench.samples import Samples, concat
from cl_bench.stream import TaskStream

Need = Literal["predictions", "samples", "features"]
Side = Literal["real", "floor", "replay"]


@dataclass(frozen=True)
class Features:
    """Reference features of labelled samples: x (n, d) float64, y (n,) int64."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def of(self, classes: tuple[int, ...]) -> Features:
        keep = np.isin(self.y, classes)
        return Features(self.x[keep], self.y[keep])


class Evidence:
    """What there is to judge after one task.

    after_task: the last task learned, −1 before the first. seen: classes learned, in stream order.
    samples: synthetic samples of the seen classes, as many per class as it has training samples; None when
    the strategy is not generative. history: the rows written before this task. folder: where pictures go.
    """

    def __init__(
        self,
        stream: TaskStream,
        after_task: int,
        logits: list[Tensor],
        samples: Samples | None,
        reference: Reference | None,
        history: list[Row],
        folder: Path,
        device: torch.device,
        progress: Progress,
    ) -> None:
        self.stream, self.after_task, self.samples = stream, after_task, samples
        self._logits, self._reference = logits, reference
        self.history, self.folder, self.device, self.progress = history, folder, device, progress
        self.seen = stream.seen(after_task)

    @property
    def groups(self) -> range:
        """The groups of classes learned so far: the tasks, or the one group that all tasks repeat."""
        return self.stream.groups_seen(self.after_task)

    def predictions(self, on_task: int) -> Tensor:
        """Logits (n, num_classes) on the test set of group `on_task`, whether learned yet or not."""
        return self._logits[on_task]

    @property
    def reference(self) -> Reference:
        """The frozen reference classifier; there whenever an evaluator needs features."""
        if self._reference is None:
            raise RuntimeError('an evaluator that reads features must declare needs = {"features", …}')
        return self._reference

    @cached_property
    def _features(self) -> dict[Side, Features]:
        reference = self.reference
        if self.samples is None:
            raise RuntimeError('an evaluator that reads replay features must declare needs = {"samples", …}')
        real = concat(self.stream.test).of(self.seen)
        real = real.first_per_class({c: reference.counts[c] for c in self.seen})
        replay = self.samples.first_per_class({c: reference.counts[c] for c in self.seen})
        sides: dict[Side, Samples] = {
            "real": real,
            "floor": reference.floor.of(self.seen),
            "replay": replay,
        }
        return {
            side: Features(reference.features(part.x).double().numpy(), part.y.numpy())
            for side, part in sides.items()
        }

    def features(self, side: Side) -> Features:
        """Reference features of the seen classes: "real" test data, "replay", or "floor": other real data
        that the reference was not trained on either, as many per class as "real" has."""
        return self._features[side]

    def scopes(self) -> Iterator[tuple[int | None, int | None, tuple[int, ...]]]:
        """What distances are taken over: (on_task, class, classes) for all seen, each group, each class."""
        yield None, None, self.seen
        for i in self.groups:
            classes = self.stream.groups[i]
            yield i, None, classes
            for c in classes:
                yield i, c, (c,)

    def compare(self, metric: str, distance: Callable[[Features, Features], float]) -> Iterator[Measurement]:
        """`metric`: distance of real to replay in every scope, and `metric:floor`, that of real to real."""
        sides: tuple[tuple[str, Side], ...] = ((metric, "replay"), (f"{metric}:floor", "floor"))
        for on_task, class_, classes in self.scopes():
            real = self.features("real").of(classes)
            for name, side in sides:
                value = distance(real, self.features(side).of(classes))
                yield Measurement(name, value, len(real), on_task, class_)


class Evaluator(ABC):
    """Turns evidence into measurements.

    needs: what it reads; one that needs samples is left out for strategies that are not generative.
    before_first: whether it also judges the untrained strategy (after_task −1). metrics: what it yields.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[frozenset[Need]] = frozenset()
    before_first: ClassVar[bool] = False
    metrics: ClassVar[dict[str, Metric]] = {}

    @abstractmethod
    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        """Yield each number as soon as it is known; pictures go to `evidence.folder`."""
