"""Class orders and task sizes, ours and those of the field."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from cl_bench.benchmark import ClassIncremental, Stationary
from cl_bench.benchmarks.digits import SplitDigits, StationaryDigits
from cl_bench.class_order import chosen_classes, class_order, grouped, task_sizes
from cl_bench.errors import UserError


def test_numpy_1993_is_the_order_of_the_literature() -> None:
    published = [68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89, 3, 92, 55, 9, 26, 80, 43, 38]
    assert class_order(100, "numpy", 1993, "b")[:20] == published


def test_orders_leave_global_state_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    for order in ("cl-bench", "avalanche", "numpy"):
        assert sorted(class_order(100, order, 5, "b")) == list(range(100))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == random.getstate()


def test_an_order_may_be_given() -> None:
    assert class_order(3, [2, 0, 1], None, "b") == [2, 0, 1]
    with pytest.raises(UserError, match="each of 0 to 2 once"):
        class_order(3, [2, 0, 0], None, "b")
    with pytest.raises(UserError, match="--order-seed has no effect"):
        class_order(3, [2, 0, 1], 1, "b")


@pytest.mark.parametrize("order", ["avalanche", "numpy"])
def test_a_seedless_foreign_order_is_refused(order: str) -> None:
    with pytest.raises(UserError, match="give --order-seed"):
        class_order(10, order, None, "b")


def test_first_task_and_the_rest() -> None:
    assert task_sizes(100, 6, 50, "error", "b") == [50, 10, 10, 10, 10, 10]
    assert task_sizes(10, 3, 5, "spread", "b") == [5, 3, 2]
    with pytest.raises(UserError, match="5 classes do not divide into 2 tasks"):
        task_sizes(10, 3, 5, "error", "b")
    for tasks, first in ((1, 5), (7, 5), (2, 10)):
        with pytest.raises(UserError, match=f"first={first} and tasks={tasks} do not fit 10 classes"):
            task_sizes(10, tasks, first, "error", "b")
    with pytest.raises(UserError, match="leave option first out"):
        task_sizes(10, [5, 5], 5, "error", "b")


@pytest.mark.parametrize(("classes", "tasks"), [(2, 1), (3, 1), (5, 2), (10, 5), (102, 5)])
def test_tasks_by_default_where_the_classes_are_unknown(classes: int, tasks: int) -> None:
    sizes = task_sizes(classes, None, None, "spread", "b")
    assert len(sizes) == tasks
    assert sum(sizes) == classes


def test_grouped() -> None:
    assert grouped([3, 1, 2, 0], [1, 3]) == [(3,), (1, 2, 0)]


def test_our_own_order_is_the_same_on_every_machine() -> None:
    assert class_order(100, "cl-bench", 1, "b")[:12] == [16, 80, 90, 57, 14, 81, 32, 41, 43, 60, 89, 23]


def test_classes_may_be_counted_named_or_numbered() -> None:
    names = ("ant", "bee", "cat", "dog")
    assert chosen_classes(3, names, "b") == [0, 1, 2]
    assert chosen_classes(["dog", 1], names, "b") == [3, 1]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (5, "b: classes=5 is out of range; expected 1 to 4"),
        (["beee"], "b: option classes: unknown class 'beee'; did you mean 'bee'"),
        ([4], "b: option classes: 4 is no label; expected 0 to 3"),
        ([-1], "b: option classes: -1 is no label"),
        ([1, "bee"], "b: option classes holds 'bee' twice"),
        ([], "b: option classes names no class"),
    ],
)
def test_classes_that_are_not_there_are_refused(chosen: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        chosen_classes(chosen, ("ant", "bee", "cat", "dog"), "b")  # type: ignore[arg-type]


def test_a_stream_of_some_classes_has_their_images_and_names() -> None:
    every = SplitDigits(ClassIncremental()).build()
    some = SplitDigits(ClassIncremental(tasks=2, classes=["7", 2, 5, 0])).build()
    assert some.spec.class_names == ("7", "2", "5", "0")
    assert [task.classes for task in some.tasks] == [(0, 1), (2, 3)]
    for new, old in enumerate((7, 2, 5, 0)):
        assert some.train.x[some.train.y == new].equal(every.train.x[every.train.y == old])
    assert len(some.test[0]) == sum(len(test.of((7, 2))) for test in every.test)
    assert some.fingerprint != every.fingerprint
    first = SplitDigits(ClassIncremental(tasks=2, classes=4)).build(order_seed=1)
    assert sorted(first.class_order) == [0, 1, 2, 3]
    assert first.spec.class_names == ("0", "1", "2", "3")


def test_a_loop_over_some_classes() -> None:
    stream = StationaryDigits(Stationary(generations=3, classes=[3, 8])).build()
    assert stream.spec.class_names == ("3", "8")
    assert [task.classes for task in stream.tasks] == [(0, 1)] * 3


def test_tasks_are_shared_out_among_the_chosen_classes() -> None:
    with pytest.raises(UserError, match="3 classes do not divide into 2 tasks"):
        SplitDigits(ClassIncremental(tasks=2, classes=3)).build()
