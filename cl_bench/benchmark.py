"""The benchmark contract: load real data, cut it into tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Lt

from cl_bench.seeds import isolated
from cl_bench.stream import RealData, TaskStream, class_order, task_sizes


@dataclass(frozen=True)
class ClassIncremental:
    """Options of a stream whose tasks bring new classes."""

    tasks: int | list[int] = 5
    """number of tasks, or the number of classes of each, as in [4,3,3]"""
    remainder: Literal["error", "spread"] = "error"
    """what to do when the classes do not divide: refuse, or give the first tasks one class more"""
    valid_fraction: Annotated[float, Ge(0), Lt(1)] = 0.1
    """share of each class's training data held out as task.valid"""


class Benchmark(ABC):
    """A data set and how it becomes a stream.

    Subclasses set the class variables and `load`; the class-incremental split is here.
    source: where the data comes from, with its licence. generator: the default for `--generator`.
    version: raise it when the same options give another stream.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    source: ClassVar[str] = ""
    needs: ClassVar[str] = "nothing beyond the installed packages"
    generator: ClassVar[str]
    Options: ClassVar[type] = ClassIncremental

    def __init__(self, options: ClassIncremental) -> None:
        self.options = options

    @abstractmethod
    def load(self) -> RealData:
        """Read the real data. Raises UserError when files are missing or damaged."""

    def build(self, order_seed: int | None = None, limit: int | None = None) -> TaskStream:
        """The stream. order_seed: seed of the class order, None for the data set's own order.
        limit: at most so many training and test samples per class."""
        # Loading runs other people's code; importing scikit-learn alone draws from `random`.
        with isolated(0, "load"):
            data = self.load()
        if limit is not None:
            data = data.limited(limit)
        classes = len(data.class_names)
        sizes = task_sizes(classes, self.options.tasks, self.options.remainder, self.name)
        order = class_order(classes, order_seed)
        return TaskStream(
            self.name, self.version, data, order, sizes, order_seed, self.options.valid_fraction
        )
