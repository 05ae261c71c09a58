"""The stream of tasks: classes in order, real data per task, test sets kept from strategies.

A stream is built from one data set by our own class order and split. Avalanche's constructors are not
used for that: they reseed the global generator, one of them drops remainder classes silently, and
importing them costs every start many seconds. `TaskStream.avalanche()` gives the same tasks as a
genuine Avalanche benchmark (see `avalanche_bridge.py`, the one module that imports it).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from cl_bench.augmentation import NO_AUGMENTATION, Augmentation
from cl_bench.errors import UserError
from cl_bench.law import Law
from cl_bench.samples import Samples
from cl_bench.seeds import permutation

Modality = Literal["image", "vector", "text"]

_sealed: ContextVar[bool] = ContextVar("test sets sealed", default=False)


class SealedTestSet(UserError):
    """A strategy reached for test data."""


def refuse_sealed(what: str) -> None:
    """Raises SealedTestSet inside `sealed_tests()`. what: what was tried, for the message."""
    if _sealed.get():
        raise SealedTestSet(f"a strategy {what}: train on task.train, select on task.valid")


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

    train, test: real samples; labels are 0 … len(class_names) − 1. fingerprint: SHA-256 (hex) over names,
    shapes, values and labels of both splits; computed unless it is known already. law: what the data were
    drawn from, where that is known. replicas: how many copies of one experiment lie side by side along the
    first axis of a sample. vocabulary: tokens that text is made of, its values 0 … vocabulary − 1.
    tokenizer: how they are read as text (the content of an `Encoding`, see tokenizer.py), "" where they mean
    nothing. note: what a reader of results must know about the data, "" for nothing.
    """

    modality: Modality
    class_names: tuple[str, ...]
    train: Samples
    test: Samples
    fingerprint: str = ""
    law: Law | None = None
    replicas: int = 1
    vocabulary: int = 0
    tokenizer: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", self._fingerprint())

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.modality, self.class_names)).encode())
        for part in (self.train, self.test):
            for tensor in (part.x, part.y):
                digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def selected(self, labels: Sequence[int]) -> RealData:
        """These classes only, labelled 0 … len(labels) − 1 in the order given."""
        new = torch.full((len(self.class_names),), -1, dtype=torch.int64)
        new[list(labels)] = torch.arange(len(labels))
        train, test = self.train.of(labels), self.test.of(labels)
        names = tuple(self.class_names[c] for c in labels)
        parts = replace(train, y=new[train.y]), replace(test, y=new[test.y])
        return replace(self, class_names=names, train=parts[0], test=parts[1], law=None, fingerprint="")

    def unlabelled(self) -> RealData:
        """All classes as one."""
        train, test = (replace(part, y=torch.zeros_like(part.y)) for part in (self.train, self.test))
        return replace(self, class_names=("all",), train=train, test=test, law=None, fingerprint="")

    def limited(self, per_class: int) -> RealData:
        """At most `per_class` training and test samples of each class (`--limit`)."""
        counts = dict.fromkeys(range(len(self.class_names)), per_class)
        parts = self.train.first_per_class(counts), self.test.first_per_class(counts)
        return replace(self, train=parts[0], test=parts[1], fingerprint="")


@dataclass(frozen=True)
class StreamSpec:
    """What a strategy may know before the first task.

    stationary: whether every task repeats the same classes. augmentation: what training on these data may do
    to images on the way. replicas, vocabulary: see `RealData`. fresh: whether stationary tasks have different
    real data, each its own.
    """

    modality: Modality
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    num_tasks: int
    stationary: bool = False
    augmentation: Augmentation = NO_AUGMENTATION
    replicas: int = 1
    vocabulary: int = 0
    fresh: bool = False

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

    spec: what strategies may know. tasks: one `Task` each. groups: the distinct sets of classes in the order
    they come: one per task, or, where every task repeats the same classes, one in all. class_order: their
    concatenation. train: the real training data of all tasks, valid included, in the data set's own order.
    fingerprint: SHA-256 of the data. law: what they were drawn from, None where nobody knows. tokenizer,
    note: see `RealData`. `test[g]` is the test set of group g, sealed while strategies work.

    generations: None for a task per group; a number for so many tasks of the one group. fresh: whether each
    of these has its own part of the training data, as large as the others', instead of all of it.
    """

    def __init__(
        self,
        name: str,
        version: int,
        data: RealData,
        groups: Sequence[Sequence[int]],
        order_seed: int | None,
        valid_fraction: float,
        generations: int | None = None,
        augmentation: Augmentation = NO_AUGMENTATION,
        fresh: bool = False,
    ) -> None:
        self.name, self.version, self.order_seed = name, version, order_seed
        self.groups = tuple(tuple(group) for group in groups)
        self.class_order = tuple(itertools.chain.from_iterable(self.groups))
        self.fingerprint, self.train, self._law = data.fingerprint, data.train, data.law
        self.tokenizer, self.note = data.tokenizer, data.note
        if generations is not None and fresh:
            parts = _parts(data.train, generations)
            tasks = [_task(i, self.groups[0], part, valid_fraction) for i, part in enumerate(parts)]
        else:
            tasks = [_task(i, group, data.train, valid_fraction) for i, group in enumerate(self.groups)]
        if generations is not None and not fresh:
            tasks = [replace(tasks[0], index=i) for i in range(generations)]
        self.tasks = tuple(tasks)
        self.spec = StreamSpec(
            data.modality,
            tuple(data.train.x.shape[1:]),
            data.class_names,
            len(tasks),
            generations is not None,
            augmentation,
            data.replicas,
            data.vocabulary,
            fresh,
        )
        self._test = tuple(data.test.of(group) for group in self.groups)

    @property
    def test(self) -> tuple[Samples, ...]:
        """Group g's test set at [g]. Raises SealedTestSet inside `sealed_tests()`."""
        refuse_sealed(f"read the test sets of {self.name!r}")
        return self._test

    @property
    def law(self) -> Law | None:
        """What the data were drawn from, sealed like the test sets."""
        refuse_sealed(f"read the law behind {self.name!r}")
        return self._law

    def group_of(self, task: int) -> int:
        """The group whose classes task `task` has."""
        return min(task, len(self.groups) - 1)

    def groups_seen(self, after_task: int) -> range:
        """The groups of tasks 0 … after_task; group g is first learned in task g."""
        return range(min(after_task + 1, len(self.groups)))

    def seen(self, after_task: int) -> tuple[int, ...]:
        """The classes of tasks 0 … after_task, in stream order."""
        return tuple(c for g in self.groups_seen(after_task) for c in self.groups[g])

    def avalanche(self) -> Any:
        """These tasks as an Avalanche benchmark with `train_stream` and `test_stream`."""
        from cl_bench.avalanche_bridge import avalanche_benchmark

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


def _parts(train: Samples, parts: int) -> list[Samples]:
    """`train` in disjoint parts with equally many of each class, the rest left out. Raises UserError when a
    part would be empty."""
    found: list[list[torch.Tensor]] = [[] for _ in range(parts)]
    for c in train.classes:
        members = torch.nonzero(train.y == c).flatten()
        order = members[torch.from_numpy(permutation(len(members), 0, "fresh", c))]
        size = len(members) // parts
        if size == 0:
            raise UserError(
                f"a class of {len(members)} training samples is too small for fresh data in each of {parts} "
                "generations; take fewer generations"
            )
        for i in range(parts):
            found[i].append(order[i * size : (i + 1) * size])
    return [train[torch.cat(index)] for index in found]


def held_out(samples: Samples, fraction: float, purpose: str) -> tuple[Samples, Samples]:
    """(train, test) of a data set that defines no split: `fraction` of each class, drawn by a fixed seed, is
    test. purpose: names the draw."""
    test = torch.zeros(len(samples), dtype=torch.bool)
    for c in samples.classes:
        members = torch.nonzero(samples.y == c).flatten()
        order = torch.from_numpy(permutation(len(members), 0, purpose, c))
        test[members[order[: round(fraction * len(members))]]] = True
    return samples[~test], samples[test]
