"""The tracker contract: a copy of a run's numbers somewhere else, in TensorBoard say, while it goes on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cl_bench.finished_run import Run

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Entry:
    """What a run has written about one task.

    learned: how many tasks have been learned, 0 for the untrained strategy; it is the step of a tracker.
    numbers: "metric", over all classes seen; "metric/on_task_1", tasks counted from 1; "metric/class_3_cat";
    "cost/…". Undefined ones are left out. pictures: PNG files of the evaluators, by stem. losses: of each
    training, by what was trained, (step, mean loss since the point before); steps count on over the tasks.
    """

    learned: int
    numbers: dict[str, float]
    pictures: dict[str, Path] = field(default_factory=dict)
    losses: dict[str, Curve] = field(default_factory=dict)


class Tracker(ABC):
    """Gets one `Entry` per task, the moment that task is finished.

    A process that goes on with a run begins with the entries of all tasks that are finished already, from the
    first one: a tracker either makes its log anew or leaves out the steps that it has. What a tracker raises
    is said in one line, and the run goes on without it. It may not touch the run: nothing it does changes a
    number.

    modules: what must be importable. install: the command that makes them so.
    """

    name: ClassVar[str] = ""
    modules: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""

    @abstractmethod
    def begin(self, run: Run) -> None:
        """Open the log of `run`, whose `manifest` and `path` are there already."""

    @abstractmethod
    def log(self, entry: Entry) -> None:
        """Add one task."""

    @abstractmethod
    def end(self, finished: bool) -> None:
        """Close the log. finished: whether all tasks are; else the run failed or was interrupted."""
