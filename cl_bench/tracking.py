"""The trackers of one run. None of them can stop it, hold it up for long, or change a number of it."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from types import TracebackType

from cl_bench import registry
from cl_bench.errors import UserError
from cl_bench.finished_run import Run
from cl_bench.progress import Progress
from cl_bench.rows import Row
from cl_bench.run_directory import RunDirectory
from cl_bench.tracker import Curve, Entry, Tracker

PATIENCE = 60.0  # seconds that a tracker may take for one call


def chosen_trackers(names: Iterable[str]) -> tuple[type[Tracker], ...]:
    """By name, each once, in their order. Raises UserError for an unknown one, or one whose package is not
    installed."""
    found: tuple[type[Tracker], ...] = tuple(registry.trackers.get(name) for name in dict.fromkeys(names))
    for cls in found:
        missing = [module for module in cls.modules if importlib.util.find_spec(module) is None]
        if missing:
            how = f"; {cls.install}" if cls.install else ""
            raise UserError(f"tracker {cls.name}: {missing[0]} is missing{how}")
    return found


class Tracking:
    """`with Tracking(classes, progress) as tracking:` around a run; `begin` once its folder is there, then
    `task` after each task that is finished."""

    def __init__(self, classes: Sequence[type[Tracker]], progress: Progress) -> None:
        self._classes, self._open = classes, list[_Aside]()
        self._progress = progress
        self._steps: Counter[str] = Counter()

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell(lambda tracker: tracker.end(error is None))
        for aside in self._open:
            aside.stop()

    def begin(self, directory: RunDirectory, history: list[Row]) -> None:
        """Open every log and tell it what is done already: `history`, the rows of finished tasks."""
        if not self._classes:
            return
        self._run, self._open = Run(directory), [_Aside(cls) for cls in self._classes]
        with self._progress.phase(f"trackers {', '.join(cls.name for cls in self._classes)}"):
            self._tell(lambda tracker: tracker.begin(self._run))
        rows = {task: list(found) for task, found in groupby(history, key=lambda row: row.after_task)}
        for task in sorted({*rows, *range(directory.finished_tasks())}):
            self.task(task, rows.get(task, []))

    def task(self, index: int, rows: list[Row]) -> None:
        """`rows` are all rows of task `index`, which is finished; −1 is before the first."""
        if not self._open:
            return
        try:
            entry = self._entry(index, rows)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._progress.warn(f"task {index + 1} was not tracked: {error}")
            return
        self._tell(lambda tracker: tracker.log(entry))

    def _entry(self, index: int, rows: list[Row]) -> Entry:
        names = self._run.manifest["class_names"]
        numbers = {_name(row, names): row.value for row in rows if row.value is not None}
        if index < 0:
            return Entry(index + 1, numbers)
        directory = self._run.directory
        costs = directory.finished(index)
        numbers |= {
            f"cost/{key}": float(value)
            for key, value in costs.items()
            if isinstance(value, int | float) and key not in ("task", "rows")
        }
        folder = directory.task(index)
        pictures = {path.stem: path for path in sorted(folder.glob("*.png")) if _of_evaluator(path)}
        return Entry(index + 1, numbers, pictures, self._losses(folder))

    def _losses(self, folder: Path) -> dict[str, Curve]:
        """Of the task's trainings; steps go on where those of earlier tasks ended."""
        curves: dict[str, Curve] = {}
        for path in sorted(folder.glob("training_[0-9][0-9].json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            what = str(record["what"])
            start = self._steps[what]
            curves.setdefault(what, []).extend((start + step, loss) for step, loss in record["loss"])
            self._steps[what] += record["steps"]
        return curves

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        for aside in list(self._open):
            try:
                aside.do(call)
            # A stranger's code may fail in any way, and ask the process to end, too.
            except (Exception, SystemExit) as error:
                self._open.remove(aside)
                aside.stop()
                told = " ".join(f"{type(error).__name__}: {error}".split())
                if isinstance(error, TimeoutError):
                    told = f"no answer within {PATIENCE:g} s"
                self._progress.warn(f"tracker {aside.name} is left out from here on: {told}")


class _Aside:
    """A tracker in a thread of its own, so that one that hangs can be left behind. The run waits for every
    answer meanwhile: two threads would share the global random generators."""

    def __init__(self, cls: type[Tracker]) -> None:
        self.name = cls.name
        self._calls: SimpleQueue[tuple[Callable[[Tracker], None], Future[None]] | None] = SimpleQueue()
        Thread(target=self._work, args=(cls,), daemon=True).start()

    def do(self, call: Callable[[Tracker], None]) -> None:
        """Raises what the tracker raises, and TimeoutError when it takes longer than PATIENCE."""
        answer: Future[None] = Future()
        self._calls.put((call, answer))
        answer.result(PATIENCE)

    def stop(self) -> None:
        """No more calls will come."""
        self._calls.put(None)

    def _work(self, cls: type[Tracker]) -> None:
        tracker: Tracker | None = None
        while (waiting := self._calls.get()) is not None:
            call, answer = waiting
            try:
                tracker = tracker or cls()
                call(tracker)
                answer.set_result(None)
            except BaseException as error:
                answer.set_exception(error)


def _name(row: Row, class_names: Sequence[str]) -> str:
    """What a row's number is called: see `Entry`."""
    if row.class_ is not None:
        return f"{row.metric}/class_{row.class_}_{class_names[row.class_]}"
    return row.metric if row.on_task is None else f"{row.metric}/on_task_{row.on_task + 1}"


def _of_evaluator(picture: Path) -> bool:
    """Not a preview of a training, of which a task may have hundreds."""
    return not picture.stem.startswith("training_")
