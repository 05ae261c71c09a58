"""Streams: every class once, honest splits, sealed tests."""

from __future__ import annotations

import pytest

from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.class_order import class_order, task_sizes
from cl_bench.errors import UserError
from cl_bench.samples import concat
from cl_bench.stream import SealedTestSet, sealed_tests


@pytest.mark.parametrize(
    ("classes", "tasks", "remainder", "sizes"),
    [
        (10, 5, "error", [2] * 5),
        (102, 6, "error", [17] * 6),
        (102, 10, "spread", [11, 11] + [10] * 8),
        (10, [4, 3, 3], "error", [4, 3, 3]),
        (10, 1, "error", [10]),
    ],
)
def test_sizes_keep_every_class(classes: int, tasks: object, remainder: str, sizes: list[int]) -> None:
    assert task_sizes(classes, tasks, None, remainder, "b") == sizes  # type: ignore[arg-type]
    assert sum(sizes) == classes


@pytest.mark.parametrize("tasks", [7, 11, 0, -1, [5, 4], [11, -1], []])
def test_sizes_that_do_not_fit_are_refused(tasks: object) -> None:
    with pytest.raises(UserError, match="b: "):
        task_sizes(10, tasks, None, "error", "b")  # type: ignore[arg-type]


def test_order_seed_permutes_and_none_does_not() -> None:
    assert class_order(10, "cl-bench", None, "b") == list(range(10))
    orders = [class_order(10, "cl-bench", seed, "b") for seed in (1, 2)]
    assert [sorted(order) for order in orders] == [list(range(10))] * 2
    assert orders[0] != orders[1]


def test_valid_is_cut_from_train_whatever_the_order() -> None:
    plain = SplitDigits(ClassIncremental()).build()
    other = SplitDigits(ClassIncremental(tasks=2)).build(order_seed=4)
    for stream in (plain, other):
        for task in stream.tasks:
            assert 0.08 < len(task.valid) / (len(task.train) + len(task.valid)) < 0.12
    digit = 7
    parts = [concat(task.valid for task in s.tasks).of((digit,)).x for s in (plain, other)]
    assert parts[0].equal(parts[1])


def test_tests_are_sealed_for_strategies_even_in_a_stream_they_build() -> None:
    stream = SplitDigits(ClassIncremental()).build(limit=4)
    assert len(stream.test) == 5
    with sealed_tests():
        with pytest.raises(SealedTestSet):
            _ = stream.test
        rebuilt = SplitDigits(ClassIncremental()).build(limit=4)
        with pytest.raises(SealedTestSet):
            _ = rebuilt.test
    assert len(stream.test) == 5


def test_limit_bounds_every_class() -> None:
    stream = SplitDigits(ClassIncremental()).build(limit=5)
    counts = concat(part for task in stream.tasks for part in (task.train, task.valid)).counts()
    assert set(counts.values()) == {5}
    assert set(concat(stream.test).counts().values()) == {5}
