"""Runs as Python sees them: rows as a tidy DataFrame, samples as tensors, paths."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError
from cl_bench.registry import reports
from cl_bench.run_directory import REPLAY, SAMPLES, RunDirectory, find, locate
from cl_bench.task_word import task_word

if TYPE_CHECKING:
    import pandas as pd

    from cl_bench.samples import Samples
    from cl_bench.strategy import Strategy
    from cl_bench.stream import StreamSpec


class Run:
    """A run on disk, finished or not."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.path = directory.path
        self.id = directory.id
        self.manifest: dict[str, Any] = directory.manifest()
        self._evaluation = directory.evaluation()
        if self._evaluation:
            self.manifest["metrics"] = self.manifest.get("metrics", {}) | self._evaluation["metrics"]

    def __repr__(self) -> str:
        return (
            f"Run({self.strategy} on {self.benchmark}, seed {self.seed}, {self.status}, {str(self.path)!r})"
        )

    @property
    def strategy(self) -> str:
        return str(self.manifest["config"]["strategy"])

    @property
    def benchmark(self) -> str:
        return str(self.manifest["config"]["benchmark"])

    @property
    def seed(self) -> int:
        return int(self.manifest["config"]["seed"])

    @property
    def num_tasks(self) -> int:
        return len(self.manifest["tasks"])

    @property
    def stationary(self) -> bool:
        """Whether every task repeats the same classes, so that numbers by task say nothing new."""
        return bool(self.manifest.get("stationary", False))

    @property
    def word(self) -> str:
        """What its tasks are called."""
        return task_word(self.stationary)

    @property
    def spec(self) -> StreamSpec:
        """What its strategy knew of the stream, but for the augmentation. Raises UserError."""
        from cl_bench.stream import StreamSpec

        if "shape" not in self.manifest:
            raise UserError(f"{self.path} was written by an older cl-bench; run it again")
        return StreamSpec(
            self.manifest["modality"],
            tuple(self.manifest["shape"]),
            tuple(self.manifest["class_names"]),
            self.num_tasks,
            self.stationary,
            replicas=self.manifest.get("replicas", 1),
            vocabulary=self.manifest.get("vocabulary", 0),
            fresh=self.manifest.get("fresh", False),
        )

    def restored(self, task: int | None = None, device: str = "auto") -> Strategy:
        """Its strategy as it was after `task` (None: the last finished one), to sample and predict with."""
        from cl_bench.trained import trained_strategy

        return trained_strategy(self, task, device)

    @cached_property
    def done(self) -> int:
        """How many of its tasks were finished when this was first asked for: a run that goes on must
        not change under a report's hands. Load it anew to see it further on."""
        return self.directory.finished_tasks()

    @property
    def finished(self) -> bool:
        return self.done == self.num_tasks

    @property
    def status(self) -> str:
        """ "finished", or how many of its tasks are."""
        return "finished" if self.finished else f"{self.done} of {self.num_tasks} tasks"

    @cached_property
    def rows(self) -> pd.DataFrame:
        """All rows, one number each, those of a later `evaluate` in place of the run's own; `on_task` and
        `class` are <NA> where a number is about all of them."""
        with _uncollected():
            return self._read()

    def _read(self) -> pd.DataFrame:
        import pandas as pd

        # Counted before the rows are read, so that none of theirs is missing.
        _ = self.done
        records = self.directory.records()
        later = self._evaluation.get("rows", [])
        if later:
            known = {tuple(record[key] for key in _KEY) for record in later}
            records = [r for r in records if tuple(r[key] for key in _KEY) not in known] + later
        columns = list(zip(*map(itemgetter(*COLUMNS), records), strict=True)) or [()] * len(COLUMNS)
        parts = zip(COLUMNS.items(), columns, strict=True)
        rows = pd.DataFrame({name: _column(values, kind) for (name, kind), values in parts})
        return rows.sort_values("after_task", kind="stable", ignore_index=True)

    @property
    def costs(self) -> list[dict[str, Any]]:
        """Per finished task: seconds, storage, replay size."""
        return [self.directory.finished(i) for i in range(self.done)]

    def show(self) -> None:
        """Print the per-task tables."""
        reports.get("default")().show([self])

    def samples(self, task: int) -> Samples | None:
        """The synthetic samples judged after `task`; None for a strategy without. Raises UserError."""
        return self._load(task, SAMPLES)

    def replay(self, task: int) -> Samples | None:
        """The replay set drawn at the end of `task`; None for a strategy without."""
        return self._load(task, REPLAY)

    def _load(self, task: int, name: str) -> Samples | None:
        from cl_bench import state
        from cl_bench.samples import Samples

        if not 0 <= task < self.directory.finished_tasks():
            raise UserError(f"{self.path}: task {task} is not finished")
        path = self.directory.task(task) / name
        return Samples.from_state_dict(state.load(path)) if path.exists() else None


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: among thousands of rows, none of them garbage, it took a quarter of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


# What no two rows of a run have in common.
_KEY = ("metric", "after_task", "on_task", "class")

COLUMNS = {
    "run": "str",
    "benchmark": "str",
    "strategy": "str",
    "seed": "int64",
    "after_task": "int64",
    "on_task": "Int64",
    "class": "Int64",
    "metric": "str",
    "value": "float64",
    "n": "int64",
    "seconds": "float64",
}


def _column(values: Sequence[Any], kind: str) -> Any:
    """`values` as an array of `kind`, None as missing. pandas would guess, and take twice as long."""
    import numpy as np
    import pandas as pd

    if kind == "str":
        return pd.array(np.array(values, dtype=object), dtype="str")
    if kind == "Int64":
        known = np.array(values, dtype=float)
        missing = np.isnan(known)
        return pd.arrays.IntegerArray(np.where(missing, 0, known).astype("int64"), missing)
    return np.array(values, dtype=kind)


def compare(runs: list[Run], folder: str | Path | None = None) -> None:
    """Print the comparison of `runs`, with its bounds; with `folder`, write its files there too."""
    report = reports.get("default")()
    report.show(runs)
    if folder is not None:
        report.write(runs, Path(folder))


def load_run(run: str | Path, output: str | Path = DEFAULT_OUTPUT) -> Run:
    """The run at a path, or with a run id (or its beginning) below `output`. Raises UserError."""
    return Run(locate(str(run), Path(output)))


def find_runs(output: str | Path = DEFAULT_OUTPUT) -> list[Run]:
    """All runs below `output`, finished or not. Raises UserError when there are none."""
    runs = [Run(directory) for directory in find(Path(output))]
    if not runs:
        raise UserError(f"no runs below {output}; make one with `cl-bench run`")
    return runs
