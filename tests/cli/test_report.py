"""A report at every stage of a run, and while one goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cl_bench.cli.main import main
from cl_bench.finished_run import Run, load_run
from cl_bench.registry import reports
from cl_bench.reports import per_task
from cl_bench.run_directory import FINISHED, METRICS, RunDirectory

EVALUATORS = ("accuracy", "depth", "frechet", "samples")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    from cl_bench.runner import run

    return run(
        "bootstrap",
        generator="gaussian",
        limit=20,
        quiet=True,
        classifier_steps=20,
        evaluators=EVALUATORS,
        output=tmp_path_factory.mktemp("finished"),
    )


def cut_back(run: Run, folder: Path, done: int, rows: int) -> Path:
    """A copy of `run` with `done` finished tasks and so many `rows`."""
    copy = folder / run.id
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("report"))
    for task in range(done, run.num_tasks):
        (copy / f"task_{task:02d}" / FINISHED).unlink()
        if task > done:
            shutil.rmtree(copy / f"task_{task:02d}")
    lines = (run.path / METRICS).read_text().splitlines(keepends=True)
    (copy / METRICS).write_text("".join(lines[:rows]))
    return copy


def rows_until(run: Run, task: int) -> int:
    return sum(row.after_task < task for row in run.directory.rows())


def nothing(copy: Path) -> None:
    pass


def no_metrics(copy: Path) -> None:
    (copy / METRICS).unlink()
    shutil.rmtree(copy / "task_00")
    shutil.rmtree(copy / "extractors")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"extractors": {}}))


def torn_line(copy: Path) -> None:
    with (copy / METRICS).open("a") as file:
        file.write('{"run": "0123", "benchm')


def half_written(copy: Path) -> None:
    """What a process that is training or judging leaves open."""
    (copy / "training_02").mkdir()
    (copy / "training_02" / "training_00.safetensors.part").write_bytes(b"\x00" * 9)
    (copy / "manifest.json.part").write_text('{"config": {')
    (copy / "task_02" / "samples.png").write_bytes(b"\x89PNG\r\n")
    (copy / "task_02" / "finished.json.part").write_text("{")


@pytest.mark.parametrize(
    ("done", "more_rows", "change"),
    [
        (0, 0, no_metrics),
        (0, 0, nothing),
        (0, 1, nothing),
        (0, 1, torn_line),
        (2, 0, nothing),
        (2, 3, nothing),
        (2, 3, torn_line),
        (2, 3, half_written),
    ],
)
def test_at_every_stage(
    finished: Run, tmp_path: Path, capsys, done: int, more_rows: int, change: Callable[[Path], None]
) -> None:
    copy = cut_back(finished, tmp_path, done, rows_until(finished, done) + more_rows)
    change(copy)
    assert main(["report", str(copy)]) == 0
    page = (copy / "report" / "index.html").read_text()
    assert f"{done} of 5 tasks" in page
    assert f"{done} of 5 tasks" in capsys.readouterr().out
    assert main(["report", str(copy), str(finished.path), "--to", str(tmp_path / "both")]) == 0
    assert "bootstrap" in (tmp_path / "both" / "index.html").read_text()


def test_watching_ends_with_the_run(finished: Run, tmp_path: Path, capsys) -> None:
    copy = cut_back(finished, tmp_path, 2, rows_until(finished, 2))
    pages = []

    def go_on() -> None:
        for task in range(2, 5):
            time.sleep(0.3)
            pages.append((copy / "report" / "index.html").read_text())
            shutil.copytree(finished.path / f"task_{task:02d}", copy / f"task_{task:02d}", dirs_exist_ok=True)
            with (copy / METRICS).open("a") as file:
                lines = (finished.path / METRICS).read_text().splitlines(keepends=True)
                file.writelines(lines[rows_until(finished, task) : rows_until(finished, task + 1)])

    assert main(["report", str(copy), "--watch", "0"]) == 2
    assert "--watch 0: expected seconds, more than 0" in capsys.readouterr().err
    assert main(["report", str(copy)]) == 0
    capsys.readouterr()
    writer = threading.Thread(target=go_on)
    writer.start()
    assert main(["report", str(copy), "--watch", "0.05"]) == 0
    writer.join()
    told = capsys.readouterr().out
    assert told.count("written: finished") == 1
    assert "seed 0: finished" in told
    assert "2 of 5 tasks" in pages[0]
    assert "finished" in (copy / "report" / "index.html").read_text()
    assert not list((copy / "report").glob("*.part*"))


def test_a_run_stays_as_it_was_when_a_report_began(finished: Run, tmp_path: Path) -> None:
    copy = cut_back(finished, tmp_path, 2, rows_until(finished, 2))
    begun, untouched = load_run(copy), load_run(copy)
    assert len(per_task.tables(begun)[0].rows) == begun.done == 2
    shutil.copy(finished.path / METRICS, copy / METRICS)
    for task in range(2, 5):
        shutil.copytree(finished.path / f"task_{task:02d}", copy / f"task_{task:02d}", dirs_exist_ok=True)
    assert len(per_task.wide(begun)) == len(begun.costs) == 2
    assert not begun.finished
    assert len(per_task.wide(untouched)) == 5


def test_a_file_that_is_gone_for_a_moment_is_tried_again(
    finished: Run, tmp_path: Path, capsys, monkeypatch
) -> None:
    copy = cut_back(finished, tmp_path, 4, rows_until(finished, 4))
    cls = reports.get("default")
    write, calls = cls.write, []

    def sometimes(self, runs, folder):
        calls.append(len(runs[0].directory.rows()))
        if len(calls) == 1:
            shutil.copy(finished.path / METRICS, copy / METRICS)
            shutil.copy(finished.path / "task_04" / FINISHED, copy / "task_04" / FINISHED)
        if len(calls) == 2:
            raise FileNotFoundError(2, "No such file", "task_04/samples.png")
        return write(self, runs, folder)

    monkeypatch.setattr(cls, "write", sometimes)
    assert main(["report", str(copy), "--watch", "0.05"]) == 0
    assert len(calls) == 3
    assert capsys.readouterr().err.count("samples.png") == 1


@pytest.mark.slow
def test_while_a_run_goes_on_and_is_interrupted(tmp_path: Path) -> None:
    """Two real processes: one trains, one watches. Every page read meanwhile is whole.

    Training stands still until the watcher is there, however long that takes to start on a busy machine.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "cl_bench"]
    options = ["--limit", "40", "-o", "generator.steps=200", "-o", "classifier_steps=100"]
    training = subprocess.Popen(
        [*command, "run", "--strategy", "bootstrap", *options, "--quiet"],
        cwd=tmp_path,
        env=environment,
    )
    started, pages = [training], set()
    try:
        while not list(tmp_path.glob("runs/*/*/*/manifest.json")):
            assert training.poll() is None
            time.sleep(0.1)
        training.send_signal(signal.SIGSTOP)
        (path,) = (found.parent for found in tmp_path.glob("runs/*/*/*/manifest.json"))
        watch = [*command, "report", str(path), "--watch", "0.2"]
        stopped = subprocess.Popen(
            watch,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Children of a shell's background job would ignore the interrupt.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(stopped)
        while not (path / "report" / "index.html").exists():
            assert stopped.poll() is None
            time.sleep(0.1)
        assert "of 5 tasks" in (path / "report" / "index.html").read_text()
        stopped.send_signal(signal.SIGINT)
        out, err = stopped.communicate(timeout=60)
        assert (stopped.returncode, err) == (0, ""), out
        (path / "report" / "index.html").unlink()
        watching = subprocess.Popen(watch, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        started.append(watching)
        while not (path / "report" / "index.html").exists():
            assert watching.poll() is None
            time.sleep(0.1)
        training.send_signal(signal.SIGCONT)
        while watching.poll() is None:
            page = (path / "report" / "index.html").read_text()
            assert page.rstrip().endswith("</html>")
            pages.add(page)
            time.sleep(0.1)
        assert watching.returncode == 0
        assert len(pages) > 2
        assert training.wait(120) == 0
    finally:
        for process in started:
            process.kill()
    assert Run(RunDirectory(path)).finished
