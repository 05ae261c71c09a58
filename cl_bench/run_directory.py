"""A run on disk: `runs/<benchmark>/<strategy>/<run id>/`, the only truth about it.

    manifest.json          configuration, versions, environment, data fingerprint, metric definitions
    metrics.jsonl          the rows, each appended the moment it is known
    evaluation.json        rows that `evaluate` added or replaced afterwards, and by what code
    extractors/…           what features were taken by, as fitted
    task_00/               checkpoint, replay set and its replay.json, evaluation samples, pictures, records
                           of trainings, and last of all
        finished.json      written when everything about the task is on disk
    training_00/           only while a task is trained: checkpoints of the training itself
    report/                tables and page, made from the above at any time

A task counts when its finished.json is there. Opening a run drops what a killed process left of an
unfinished task, so that going on gives the rows of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cl_bench.errors import UserError
from cl_bench.rows import KEYS, Row

MANIFEST, METRICS, FINISHED, LOCK = "manifest.json", "metrics.jsonl", "finished.json", ".lock"
EVALUATION = "evaluation.json"
CHECKPOINT = "checkpoint.safetensors"
REPLAY, SAMPLES = "replay.safetensors", "samples.safetensors"
REPLAY_MANIFEST = "replay.json"


class RunDirectory:
    """Paths and files of the run at `path`; nothing is created by looking."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    def task(self, index: int) -> Path:
        """Folder of task `index`."""
        return self.path / f"task_{index:02d}"

    def extractor(self, name: str) -> Path:
        """File of what an extractor, called `name`, learned."""
        return self.path / "extractors" / f"{name}.safetensors"

    def training(self, index: int) -> Path:
        """Folder of what a long training of task `index` keeps until the task is finished."""
        return self.path / f"training_{index:02d}"

    @property
    def report(self) -> Path:
        return self.path / "report"

    def manifest(self) -> dict[str, Any]:
        """Raises UserError when it is missing or damaged."""
        path = self.path / MANIFEST
        manifest = _read_json(path)
        missing = {"config", "versions", "tasks"} - set(manifest)
        if missing:
            raise UserError(f"{path} is not a run's manifest: no {sorted(missing)[0]!r} in it")
        return manifest

    def finished_tasks(self) -> int:
        """How many tasks are complete on disk; they are always the first ones."""
        count = 0
        while (self.task(count) / FINISHED).is_file():
            count += 1
        return count

    def finished(self, index: int) -> dict[str, Any]:
        """Costs of finished task `index`: seconds, network evaluations, memory, storage, replay size."""
        return _read_json(self.task(index) / FINISHED)

    def rows(self) -> list[Row]:
        """All rows on disk. A last line cut short by a kill is no row; any other damage is a UserError."""
        return [Row.from_dict(record) for record in self.records()]

    def records(self) -> list[dict[str, Any]]:
        """The same as written, a dictionary a row: much faster where there are many."""
        path, done = self.path / METRICS, self.finished_tasks()
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = text.split("\n")[:-1]
        try:
            records = json.loads(f"[{','.join(lines)}]")
            whole = len(records) == len(lines) and {tuple(record) for record in records} <= {tuple(KEYS)}
        except (ValueError, TypeError):
            whole = False
        if not whole:
            records = [_record(line, f"{path} line {number}") for number, line in enumerate(lines, start=1)]
        expected = self.finished(done - 1).get("rows") if done else 0
        found = sum(record["after_task"] < done for record in records)
        if done and found != expected:
            raise UserError(
                f"{path} has {found} rows of finished tasks, expected {expected}; "
                "move the run away and run again"
            )
        return records

    def evaluation(self) -> dict[str, Any]:
        """What `evaluate` found afterwards: metrics, versions and rows; empty without any."""
        path = self.path / EVALUATION
        return _read_json(path) if path.exists() else {}

    # Writing, for the process that holds the lock.

    def record_evaluation(self, evaluation: dict[str, Any]) -> None:
        write_json(self.path / EVALUATION, evaluation)

    def create(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, or take over the one that is there."""
        if not (self.path / MANIFEST).exists():
            write_json(self.path / MANIFEST, manifest)

    def record_extractor(self, name: str, about: dict[str, Any]) -> None:
        """Add hash and facts of an extractor, as fitted, to the manifest."""
        manifest = self.manifest()
        known = manifest.get("extractors", {})
        write_json(self.path / MANIFEST, manifest | {"extractors": known | {name: about}})

    def drop_unfinished(self) -> list[Row]:
        """Remove what an interrupted process left behind the last finished task; the rows that stay."""
        done = self.finished_tasks()
        metrics = self.path / METRICS
        rows = [row for row in self.rows() if row.after_task < done] if done else []
        text = "".join(_line(row) for row in rows)
        if not done:
            metrics.unlink(missing_ok=True)
        elif metrics.exists() and metrics.read_text(encoding="utf-8") != text:
            _write_text(metrics, text)
        for folder in sorted(self.path.glob("task_[0-9][0-9]*")):
            if int(folder.name.removeprefix("task_")) >= done:
                shutil.rmtree(folder)
        return rows

    def append(self, row: Row) -> None:
        """Put a row on disk now."""
        with (self.path / METRICS).open("a", encoding="utf-8") as file:
            file.write(_line(row))
            file.flush()
            os.fsync(file.fileno())

    def finish(self, index: int, costs: dict[str, Any], rows: int) -> None:
        """Declare task `index` complete; how many `rows` that makes is remembered, so that a loss is seen."""
        write_json(self.task(index) / FINISHED, costs | {"rows": rows})
        self.drop_training(index)

    def drop_data(self, index: int) -> None:
        """Remove checkpoint and samples of task `index`, which later ones do not need."""
        for name in (CHECKPOINT, REPLAY, REPLAY_MANIFEST, SAMPLES):
            (self.task(index) / name).unlink(missing_ok=True)

    def drop_training(self, index: int) -> None:
        """Remove what the training of task `index` kept."""
        shutil.rmtree(self.training(index), ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[RunDirectory]:
    """Create (if needed) and hold the run directory at `path`; a killed holder's lock frees itself.

    A directory that is left without a manifest, because nothing came of it, is removed again with the
    parents it made. Raises UserError when it cannot be written or another process works in it.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is working in {path}; wait for it or stop it") from None
    except OSError as error:
        _remove_empty(made)
        raise UserError(f"cannot write to {path}: {error.strerror}; choose another --output") from error
    try:
        yield RunDirectory(path)
    finally:
        if not (path / MANIFEST).exists():
            (path / LOCK).unlink(missing_ok=True)
        lock.release()
        _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Remove `folders`, innermost first, up to the first that holds something."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def find(root: Path) -> list[RunDirectory]:
    """All runs below `root`, an output folder, one of its folders, or a run itself, by path."""
    levels = ("", "*/", "*/*/", "*/*/*/")
    found = {path.parent.resolve() for level in levels for path in root.glob(f"{level}{MANIFEST}")}
    return [RunDirectory(path) for path in sorted(found)]


def locate(name: str, root: Path) -> RunDirectory:
    """The run meant by `name`: a path, or the beginning of a run id below `root`. Raises UserError."""
    if Path(name).is_dir():
        if not (Path(name) / MANIFEST).is_file():
            raise UserError(f"{name} is not a run: it has no {MANIFEST}")
        return RunDirectory(Path(name).resolve())
    matches = [run for run in find(root) if run.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{name!r} fits {len(matches)} runs: {', '.join(run.id for run in matches[:4])}")
    raise UserError(f"no run {name!r}, neither a folder nor a run id below {root}; see `cl-bench list runs`")


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` at once: a reader sees the whole file or none."""
    _write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _line(row: Row) -> str:
    return json.dumps(row.as_dict(), ensure_ascii=False, allow_nan=False) + "\n"


def _record(line: str, where: str) -> dict[str, Any]:
    """One row as written, its keys in whatever order. Raises UserError."""
    try:
        return Row.from_dict(json.loads(line)).as_dict()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{where} is damaged; move the run away and run again") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); move the run away and run again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged; move the run away and run again")
    return value
