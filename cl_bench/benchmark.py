"""The benchmark contract: load real data, cut it into tasks.

`Benchmark` brings new classes in each task; `StationaryBenchmark` repeats all classes in each.
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from cl_bench.augmentation import NO_AUGMENTATION, Augmentation
from cl_bench.class_order import chosen_classes, class_order, grouped, task_sizes
from cl_bench.data_root import data_root as default_data_root
from cl_bench.data_set import DataSet
from cl_bench.defaults import DEFAULT_EXTRACTORS
from cl_bench.errors import UserError
from cl_bench.seeds import isolated
from cl_bench.stream import RealData, TaskStream


@dataclass(frozen=True)
class ClassIncremental:
    """Options of a stream whose tasks bring new classes."""

    classes: Annotated[int, Gt(0)] | list[int | str] | None = None
    """only these classes: the first so many of the data set's own order, or names or labels, as in [cat,7]"""
    tasks: int | list[int] | None = 5
    """number of tasks, or the number of classes of each, as in [4,3,3]"""
    first: Annotated[int, Gt(0)] | None = None
    """classes of the first task, the rest shared out: first=50 tasks=6 is 50 + 5×10 of 100"""
    remainder: Literal["error", "spread"] = "error"
    """what to do when the classes do not divide: refuse, or give the first tasks one class more"""
    order: Literal["cl-bench", "avalanche", "numpy"] | list[int] = "cl-bench"
    """how --order-seed permutes: cl-bench, avalanche, numpy (PyCIL: seed 1993); or the order itself"""
    valid_fraction: Annotated[float, Ge(0), Lt(1)] = 0.1
    """share of each class's training data held out as task.valid"""


@dataclass(frozen=True)
class UnknownClasses(ClassIncremental):
    """Options where the number of classes is the user's affair."""

    tasks: int | list[int] | None = None
    """number of tasks, or the number of classes of each; none for 5, or fewer so that each has two classes"""
    remainder: Literal["error", "spread"] = "spread"
    """what to do when the classes do not divide: refuse, or give the first tasks one class more"""


@dataclass(frozen=True)
class Stationary:
    """Options of a stream whose tasks, called generations, repeat the same classes."""

    generations: Annotated[int, Gt(0)] = 10
    """number of tasks, each with all classes"""
    classes: Annotated[int, Gt(0)] | list[int | str] | None = None
    """only these classes: the first so many of the data set's own order, or names or labels, as in [cat,7]"""
    unlabelled: bool = False
    """make all classes one: generators learn and sample without labels, and nothing is classified"""
    fresh: bool = False
    """give each generation its own part of the real data, in place of the same data to all"""
    valid_fraction: Annotated[float, Ge(0), Lt(1)] = 0.1
    """share of each class's training data held out as task.valid"""


class Benchmark(ABC):
    """A data set and how it becomes a stream whose tasks bring new classes.

    Subclasses set the class variables and give `data_set`, or `load` for data that need no files. source:
    where the data comes from, with its licence. generator: the default for `--generator`, "none" for none.
    extractors: the default for `--extractors`. transforms: what happened to the data on the way here;
    augmentation: what training may do to images. version: raise it when the same options give another stream.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    source: ClassVar[str] = ""
    needs: ClassVar[str] = "nothing beyond the installed packages"
    generator: ClassVar[str]
    extractors: ClassVar[tuple[str, ...]] = DEFAULT_EXTRACTORS
    transforms: ClassVar[str] = "none: as stored"
    augmentation: ClassVar[Augmentation] = NO_AUGMENTATION
    Options: ClassVar[type] = ClassIncremental

    def __init__(self, options: Any, data_root: Path | None = None) -> None:
        self.options, self.data_root = options, data_root or default_data_root()

    def data_set(self) -> DataSet | None:
        """The data set in files that `load` reads; None for data that need none."""
        return None

    def load(self) -> RealData:
        """Read the real data. Raises UserError when files are missing or damaged."""
        data_set = self.data_set()
        if data_set is None:
            raise TypeError(f"{type(self).__name__} must define data_set or load")
        return data_set.load(self.data_root)

    def chosen(self) -> RealData:
        """`load`, or what option `classes` leaves of it. Raises UserError for a class that is not there."""
        data = self.load()
        if self.options.classes is None:
            return data
        return data.selected(chosen_classes(self.options.classes, data.class_names, self.name))

    def build(self, order_seed: int | None = None, limit: int | None = None) -> TaskStream:
        """The stream. order_seed: seed of the class order, None for the data set's own order.
        limit: at most so many training and test samples per class."""
        # Loading runs other people's code; importing scikit-learn alone draws from `random`.
        with isolated(0, "load"):
            data = self.chosen()
        if limit is not None:
            data = data.limited(limit)
        return self.cut(data, order_seed)

    def cut(self, data: RealData, order_seed: int | None) -> TaskStream:
        """`data` as tasks. Raises UserError for options that do not fit them."""
        options, classes = self.options, len(data.class_names)
        sizes = task_sizes(classes, options.tasks, options.first, options.remainder, self.name)
        order = class_order(classes, options.order, order_seed, self.name)
        return TaskStream(
            self.name,
            self.version,
            data,
            grouped(order, sizes),
            order_seed,
            options.valid_fraction,
            augmentation=self.augmentation,
        )


class StationaryBenchmark(Benchmark):
    """A data set as a self-consuming loop: each task, a generation, has all classes, and the same real data
    unless they are `fresh`."""

    Options: ClassVar[type] = Stationary

    def chosen(self) -> RealData:
        data = super().chosen()
        return data.unlabelled() if self.options.unlabelled else data

    def cut(self, data: RealData, order_seed: int | None) -> TaskStream:
        if order_seed is not None:
            raise UserError(f"{self.name} has all classes in every task; --order-seed has no effect on it")
        return TaskStream(
            self.name,
            self.version,
            data,
            [range(len(data.class_names))],
            None,
            self.options.valid_fraction,
            self.options.generations,
            self.augmentation,
            self.options.fresh,
        )
