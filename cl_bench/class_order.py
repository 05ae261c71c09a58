"""Which classes come, and when: the chosen ones, their order, and how many each task brings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

from cl_bench.errors import UserError, unknown
from cl_bench.seeds import permutation


def chosen_classes(chosen: int | Sequence[int | str], names: Sequence[str], benchmark: str) -> list[int]:
    """The labels meant by option `classes`: the first `chosen` ones, or those listed by label or name.

    Raises UserError for a number out of range, an unknown class or one listed twice.
    """
    if isinstance(chosen, int):
        if not 1 <= chosen <= len(names):
            raise UserError(f"{benchmark}: classes={chosen} is out of range; expected 1 to {len(names)}")
        return list(range(chosen))
    labels = []
    for item in chosen:
        if isinstance(item, str) and item not in names:
            raise UserError(f"{benchmark}: option classes: {unknown('class', item, names)}")
        label = names.index(item) if isinstance(item, str) else item
        if not 0 <= label < len(names):
            raise UserError(
                f"{benchmark}: option classes: {label} is no label; expected 0 to {len(names) - 1}"
            )
        if label in labels:
            raise UserError(f"{benchmark}: option classes holds {names[label]!r} twice")
        labels.append(label)
    if not labels:
        raise UserError(f"{benchmark}: option classes names no class")
    return labels


def class_order(
    num_classes: int, order: str | Sequence[int], order_seed: int | None, benchmark: str
) -> list[int]:
    """All classes in the order they come; global random state is not touched.

    order: "cl-bench" for the data set's own order or the permutation of `order_seed`; "avalanche" for that of
    Avalanche's `nc_benchmark` and `SplitCIFAR100(seed=order_seed)`, torch's `randperm`; "numpy" for
    `np.random.seed(order_seed); np.random.permutation(n)`; or the order itself. Raises UserError for an order
    that is none, and for a missing or useless seed.
    """
    if not isinstance(order, str):
        if sorted(order) != list(range(num_classes)):
            raise UserError(f"{benchmark}: option order must hold each of 0 to {num_classes - 1} once")
        if order_seed is not None:
            raise UserError(f"{benchmark}: option order gives the classes; --order-seed has no effect on it")
        return list(order)
    if order == "cl-bench":
        if order_seed is None:
            return list(range(num_classes))
        return permutation(num_classes, order_seed, "class order").tolist()
    if order_seed is None:
        raise UserError(f"{benchmark}: option order={order} needs a seed; give --order-seed")
    if order == "avalanche":
        return torch.randperm(num_classes, generator=torch.Generator().manual_seed(order_seed)).tolist()
    if order_seed >= 2**32:
        raise UserError(f"{benchmark}: option order=numpy needs an --order-seed below 2**32")
    return np.random.RandomState(order_seed).permutation(num_classes).tolist()


def task_sizes(
    num_classes: int, tasks: int | Sequence[int] | None, first: int | None, remainder: str, benchmark: str
) -> list[int]:
    """Classes per task. Raises UserError when they do not add up to `num_classes`.

    tasks: a number of tasks, or the size of each, or None for 5 or fewer of two classes and more. first: size
    of the first task where `tasks` is a number. remainder: "error", or "spread" to give the first tasks one
    class more where the number does not divide.
    """
    if tasks is None:
        tasks = max(min(5, num_classes // 2), 1)
    if not isinstance(tasks, int):
        sizes = list(tasks)
        if first is not None:
            raise UserError(f"{benchmark}: tasks={sizes} gives every size; leave option first out")
        if sum(sizes) != num_classes or min(sizes, default=0) < 1:
            raise UserError(
                f"{benchmark}: tasks={sizes} has {sum(sizes)} classes; "
                f"expected sizes of at least 1 that add up to {num_classes}"
            )
        return sizes
    if first is not None:
        if not 2 <= tasks <= num_classes - first + 1:
            raise UserError(
                f"{benchmark}: first={first} and tasks={tasks} do not fit {num_classes} classes; "
                f"expected 2 to {max(num_classes - first + 1, 2)} tasks"
            )
        return [first, *_even(num_classes - first, tasks - 1, remainder, benchmark)]
    if not 1 <= tasks <= num_classes:
        raise UserError(f"{benchmark}: tasks={tasks} is out of range; expected 1 to {num_classes}")
    return _even(num_classes, tasks, remainder, benchmark)


def _even(num_classes: int, tasks: int, remainder: str, benchmark: str) -> list[int]:
    base, extra = divmod(num_classes, tasks)
    sizes = [base + 1] * extra + [base] * (tasks - extra)
    if extra and remainder == "error":
        raise UserError(
            f"{benchmark}: {num_classes} classes do not divide into {tasks} tasks; "
            f"give -o remainder=spread or the sizes, as in -o tasks={str(sizes).replace(' ', '')}"
        )
    return sizes


def grouped(order: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """`order` cut into runs of `sizes`."""
    edges = [0, *itertools.accumulate(sizes)]
    return [tuple(order[a:b]) for a, b in itertools.pairwise(edges)]
