"""Run directories: crash-safe rows, locks, nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl_bench.errors import UserError
from cl_bench.rows import Row
from cl_bench.run_directory import MANIFEST, METRICS, RunDirectory, find, locate, locked


def row(after_task: int, value: float = 0.5) -> Row:
    return Row("id", "b", "s", 0, after_task, None, None, "m", value, 10, 0.1)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "b" / "s" / "abc123")
    directory.path.mkdir(parents=True)
    directory.create({"config": {}, "versions": {}, "tasks": [[0], [1]]})
    return directory


def test_a_row_is_on_disk_at_once(directory: RunDirectory) -> None:
    directory.append(row(0))
    text = (directory.path / METRICS).read_text()
    assert json.loads(text) == {
        "run": "id", "benchmark": "b", "strategy": "s", "seed": 0, "after_task": 0, "on_task": None,
        "class": None, "metric": "m", "value": 0.5, "n": 10, "seconds": 0.1,
    }  # fmt: skip
    assert directory.rows() == [row(0)]


def test_unfinished_work_is_dropped_and_finished_work_stays(directory: RunDirectory) -> None:
    for after_task in (-1, 0, 1):
        directory.append(row(after_task))
    directory.task(0).mkdir()
    directory.finish(0, {"task": 0}, 2)
    directory.task(1).mkdir()
    (directory.task(1) / "checkpoint.safetensors").write_bytes(b"half")
    with (directory.path / METRICS).open("a") as file:
        file.write('{"run": "cut sho')
    assert directory.drop_unfinished() == [row(-1), row(0)]
    assert directory.rows() == [row(-1), row(0)]
    assert directory.task(0).exists()
    assert not directory.task(1).exists()


def test_without_a_finished_task_everything_starts_over(directory: RunDirectory) -> None:
    directory.append(row(-1))
    assert directory.drop_unfinished() == []
    assert not (directory.path / METRICS).exists()


def test_damage_is_one_line_that_names_the_file(directory: RunDirectory) -> None:
    (directory.path / METRICS).write_text('{"run": 1}\n')
    with pytest.raises(UserError, match=r"metrics.jsonl line 1 is damaged"):
        directory.rows()
    (directory.path / MANIFEST).write_text("{not json")
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        directory.manifest()
    (directory.path / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match="not a run's manifest"):
        directory.manifest()


def test_second_holder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b" / "s" / "x"
    with locked(path), pytest.raises(UserError, match="another process is working"), locked(path):
        pass


def test_a_run_that_came_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "runs" / "b" / "s" / "x"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_output_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match="cannot write to"), locked(tmp_path / "runs" / "b" / "s" / "x"):
        pass


def test_locate_by_folder_and_by_beginning_of_the_id(directory: RunDirectory, tmp_path: Path) -> None:
    assert locate(str(directory.path), tmp_path).path == directory.path
    assert locate("abc", tmp_path).path == directory.path
    assert [run.path for run in find(tmp_path)] == [directory.path]
    with pytest.raises(UserError, match="no run 'zzz'"):
        locate("zzz", tmp_path)
    with pytest.raises(UserError, match="is not a run"):
        locate(str(tmp_path), tmp_path)
