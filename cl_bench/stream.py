"""The stream of tasks: classes in order, real data per task, test sets kept from strategies.

A stream is built from one data set by our own class order and split. Avalanche's constructors are not
used for that: they reseed the global generator, one of them drops remainder classes silently, and
importing them costs every start many seconds. `TaskStream.avalanche()` gives the same tasks as a
genuine Avalanche benchmark (see `avalanche_benchmark.py`, the one module that imports it).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from cl_bench.errors import UserError
from cl_bench.samples import Samples
from cl_bench.seeds import permutation

Modality = Literal["image", "vector", "text"]

_sealed: ContextVar[bool] = ContextVar("test sets sealed", default=False)


class SealedTestSet(UserError):
    """A strategy reached for test data."""


@contextmanager
def sealed_tests() -> Iterator[None]:
    """While a strategy works: reading any stream's test sets raises SealedTestSet."""
    token = _sealed.set(True)
    try:
        yield
    finally:
        _sealed.reset(token)


@dataclass(frozen=True)
class RealData:
    """A data set as a benchmark loads it, before it is cut into tasks.

    train, test: real samples; labels are 0 … len(class_names) − 1.
    """

    modality: Modality
    class_names: tuple[str, ...]
    train: Samples
    test: Samples

    def fingerprint(self) -> str:
        """SHA-256 (hex) over names, shapes, values and labels of both splits."""
        digest = hashlib.sha256(repr((self.modality, self.class_names)).encode())
        for part in (self.train, self.test):
            for tensor in (part.x, part.y):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def limited(self, per_class: int) -> RealData:
        """At most `per_class` training and test samples of each class (`--limit`)."""
        counts = dict.fromkeys(range(len(self.class_names)), per_class)
        return RealData(
            self.modality,
            self.class_names,
            self.train.first_per_class(counts),
            self.test.first_per_class(counts),
        )


@dataclass(frozen=True)
class StreamSpec:
    """What a strategy may know before the first task."""

    modality: Modality
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    num_tasks: int

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True)
class Task:
    """What a strategy sees of one task: its real training data and a slice held out of it.

    `valid` is cut from the training data, so selecting on it is honest; the test sets are not here.
    """

    index: int
    classes: tuple[int, ...]
    train: Samples
    valid: Samples


class TaskStream:
    """Tasks of one data set in a recorded order.

    spec: what strategies may know. tasks: one `Task` each. class_order: all classes in the order they
    come. train: the real training data of all tasks, valid included, in the data set's own order.
    fingerprint: SHA-256 of the data. `test[i]` is task i's test set, sealed while strategies work.
    """

    def __init__(
        self,
        name: str,
        version: int,
        data: RealData,
        class_order: Sequence[int],
        sizes: Sequence[int],
        order_seed: int | None,
        valid_fraction: float,
    ) -> None:
        self.name, self.version, self.order_seed = name, version, order_seed
        self.class_order = tuple(class_order)
        self.fingerprint, self.train = data.fingerprint(), data.train
        self.spec = StreamSpec(data.modality, tuple(data.train.x.shape[1:]), data.class_names, len(sizes))
        edges = np.cumsum([0, *sizes])
        groups = [self.class_order[a:b] for a, b in itertools.pairwise(edges)]
        self.tasks = tuple(_task(i, group, data.train, valid_fraction) for i, group in enumerate(groups))
        self._test = tuple(data.test.of(group) for group in groups)

    @property
    def test(self) -> tuple[Samples, ...]:
        """Task i's test set at [i]. Raises SealedTestSet inside `sealed_tests()`."""
        if _sealed.get():
            raise SealedTestSet(
                f"a strategy read the test sets of {self.name!r}: train on task.train, select on task.valid"
            )
        return self._test

    def seen(self, after_task: int) -> tuple[int, ...]:
        """The classes of tasks 0 … after_task, in stream order."""
        return tuple(c for task in self.tasks[: after_task + 1] for c in task.classes)

    def avalanche(self) -> Any:
        """These tasks as an Avalanche benchmark with `train_stream` and `test_stream`."""
        from cl_bench.avalanche_benchmark import avalanche_benchmark

        return avalanche_benchmark(self)


def _task(index: int, classes: Sequence[int], train: Samples, valid_fraction: float) -> Task:
    """Hold out the same fraction of every class, the same samples whatever the class order."""
    kept, held = [], []
    for c in sorted(classes):
        members = torch.nonzero(train.y == c).flatten()
        order = torch.from_numpy(permutation(len(members), 0, "valid", c))
        # At least one sample is left to train on, however few there are.
        cut = min(round(valid_fraction * len(members)), len(members) - 1)
        held.append(members[order[:cut]])
        kept.append(members[order[cut:]].sort().values)
    return Task(index, tuple(classes), train[torch.cat(kept)], train[torch.cat(held)])


def task_sizes(num_classes: int, tasks: int | Sequence[int], remainder: str, benchmark: str) -> list[int]:
    """Classes per task. Raises UserError when they do not add up to `num_classes`.

    tasks: a number of tasks, or the size of each. remainder: "error", or "spread" to give the first
    tasks one class more where the number does not divide.
    """
    if not isinstance(tasks, int):
        sizes = list(tasks)
        if sum(sizes) != num_classes or min(sizes, default=0) < 1:
            raise UserError(
                f"{benchmark}: tasks={sizes} has {sum(sizes)} classes; "
                f"expected sizes of at least 1 that add up to {num_classes}"
            )
        return sizes
    if not 1 <= tasks <= num_classes:
        raise UserError(f"{benchmark}: tasks={tasks} is out of range; expected 1 to {num_classes}")
    base, extra = divmod(num_classes, tasks)
    if extra and remainder == "error":
        example = [base + 1] * extra + [base] * (tasks - extra)
        raise UserError(
            f"{benchmark}: {num_classes} classes do not divide into {tasks} tasks; "
            f"give -o remainder=spread or the sizes, as in -o tasks={str(example).replace(' ', '')}"
        )
    return [base + 1] * extra + [base] * (tasks - extra)


def class_order(num_classes: int, order_seed: int | None) -> list[int]:
    """The data set's own order, or the permutation of `order_seed`; global random state is not touched."""
    if order_seed is None:
        return list(range(num_classes))
    return permutation(num_classes, order_seed, "class order").tolist()
