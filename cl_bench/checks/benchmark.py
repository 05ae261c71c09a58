"""`check` for a benchmark: every class once, honest splits, seeds that work, global state left alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from cl_bench.benchmark import Benchmark
from cl_bench.checks.findings import PER_CLASS, Finding, Problem, card, digest, findings, require
from cl_bench.config import Request, resolve
from cl_bench.errors import UserError
from cl_bench.stream import TaskStream, sealed_tests


def check_benchmark(request: Request) -> Iterator[Finding]:
    """Findings about `request.benchmark`, built in full and small."""
    resolved = resolve(dataclasses.replace(request, strategy="naive", limit=None))
    trial = _BenchmarkTrial(resolved.new_benchmark(), request.order_seed)
    yield from findings(
        ("card: docstring, source, options with help", lambda: card(resolved.benchmark)),
        ("builds, and leaves torch's, numpy's and random's global state alone", trial.builds),
        ("every class once, in the recorded order", lambda: _classes(trial.stream)),
        ("data: type, range and labels fit the modality", lambda: _data(trial.stream)),
        ("valid is cut from train, and smaller", lambda: _parts(trial.stream)),
        ("the same seed gives the same stream", lambda: _same(trial.stream, trial.build())),
        (
            "order seed: another order of the same data, refused where there is none",
            lambda: _reordered(trial.stream, trial.benchmark),
        ),
        ("test sets are sealed while a strategy works", lambda: _sealed(trial.stream)),
        ("Avalanche's view has the same tasks", lambda: _avalanche(trial.build(PER_CLASS))),
    )


class _BenchmarkTrial:
    """One benchmark and the stream it builds."""

    def __init__(self, benchmark: Benchmark, order_seed: int | None) -> None:
        self.benchmark, self.order_seed = benchmark, order_seed
        self.stream: TaskStream

    def build(self, limit: int | None = None) -> TaskStream:
        return self.benchmark.build(self.order_seed, limit)

    def builds(self) -> None:
        before = _global_state()
        self.stream = self.build()
        for name, old, new in zip(("torch", "numpy", "random"), before, _global_state(), strict=True):
            require(old == new, f"building the stream changed {name}'s global random state")


def _global_state() -> tuple[bytes, bytes, Any]:
    return torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate()  # type: ignore[index]


def _classes(stream: TaskStream) -> None:
    listed = sorted(stream.class_order)
    require(listed == list(range(stream.spec.num_classes)), f"groups hold classes {listed}")
    for task in stream.tasks:
        group = stream.group_of(task.index)
        require(task.classes == stream.groups[group], f"task {task.index} does not follow the class order")
        for part, where in ((task.train, "train"), (stream.test[group], "test")):
            require(
                set(part.classes) == set(task.classes), f"task {task.index}: {where} holds {part.classes}"
            )


def _data(stream: TaskStream) -> None:
    expected = {"image": torch.uint8, "vector": torch.float32, "text": torch.int64}[stream.spec.modality]
    for part in (*(task.train for task in stream.tasks), *stream.test):
        require(
            part.x.dtype == expected, f"{stream.spec.modality} data must be {expected}, got {part.x.dtype}"
        )
        require(part.y.dtype == torch.int64, f"labels must be int64, got {part.y.dtype}")
        require(tuple(part.x.shape[1:]) == stream.spec.shape, f"a part has shape {tuple(part.x.shape)}")
        require(bool((part.depth == 0).all()), "real data must have depth 0")
        finite = part.x.isfinite() if part.x.is_floating_point() else torch.ones(1)
        require(bool(finite.all()), "data hold NaN or infinity")


def _parts(stream: TaskStream) -> None:
    for task in stream.tasks:
        for c in task.classes:
            n = len(task.train.of((c,))) + len(task.valid.of((c,)))
            require(len(task.train.of((c,))) > 0 and n > 1, f"class {c} has {n} training samples")
    share = [len(t.valid) / (len(t.train) + len(t.valid)) for t in stream.tasks]
    require(max(share) < 0.5, f"valid is {max(share):.0%} of a task's training data")


def _same(stream: TaskStream, again: TaskStream) -> None:
    require(stream.fingerprint == again.fingerprint, "loaded twice, the data differ")
    for a, b in zip(stream.tasks, again.tasks, strict=True):
        same = (
            a.classes == b.classes
            and digest(a.train) == digest(b.train)
            and digest(a.valid) == digest(b.valid)
        )
        require(same, f"task {a.index} differs when built twice")


def _reordered(stream: TaskStream, benchmark: Any) -> None:
    if stream.spec.stationary:
        try:
            benchmark.build(1)
        except UserError:
            return
        raise Problem("takes an order seed, which has no effect where every task has all classes")
    seeds = [seed for seed in (1, 2, 3) if seed != stream.order_seed]
    others = [benchmark.build(seed) for seed in seeds]
    orders = {other.class_order for other in others} | {stream.class_order}
    require(len(orders) > 1 or stream.spec.num_classes < 3, "the order seed has no effect on the class order")
    require(all(o.fingerprint == stream.fingerprint for o in others), "the order seed changes the data")


def _sealed(stream: TaskStream) -> None:
    with sealed_tests():
        try:
            _ = stream.test
        except UserError:
            return
    raise Problem("the stream hands out its test sets")


def _avalanche(stream: TaskStream) -> None:
    view = stream.avalanche()
    for task, train, test in zip(stream.tasks, view.train_stream, view.test_stream, strict=True):
        require(
            set(train.classes_in_this_experience) == set(task.classes), f"task {task.index}: other classes"
        )
        require(list(train.dataset.targets) == task.train.y.tolist(), f"task {task.index}: other labels")
        require(
            sorted(test.dataset.targets) == sorted(stream.test[stream.group_of(task.index)].y.tolist()),
            f"task {task.index}: other test set",
        )
