"""Trackers get every row, change none, and stop no run."""

from __future__ import annotations

import importlib.util
import json
import random
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from cl_bench import Tracker, register_tracker, resume, tracking
from cl_bench.cli.main import main
from cl_bench.errors import UserError
from cl_bench.finished_run import Run
from cl_bench.run_directory import METRICS
from cl_bench.strategies.bootstrap import Bootstrap
from cl_bench.tracker import Entry


@pytest.fixture
def recorder():
    """A tracker that keeps all that it is told."""

    @register_tracker("recorder")
    class Recorder(Tracker):
        runs: ClassVar[list[Run]] = []
        entries: ClassVar[list[Entry]] = []
        ends: ClassVar[list[bool]] = []

        def begin(self, run: Run) -> None:
            self.runs.append(run)

        def log(self, entry: Entry) -> None:
            self.entries.append(entry)

        def end(self, finished: bool) -> None:
            self.ends.append(finished)

    return Recorder


def values(run: Run) -> list[dict[str, object]]:
    lines = (run.path / METRICS).read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def as_named(row: dict[str, object]) -> str:
    """The digits' names are the digits."""
    if row["class"] is not None:
        return f"{row['metric']}/class_{row['class']}_{row['class']}"
    return str(row["metric"]) if row["on_task"] is None else f"{row['metric']}/on_task_{row['on_task'] + 1}"


def test_every_row_is_forwarded_once(fast_run, recorder) -> None:
    run = fast_run("bootstrap", track=("recorder",), evaluators=("accuracy", "depth", "frechet", "samples"))
    entries = recorder.entries
    assert [entry.learned for entry in entries] == [0, 1, 2, 3, 4, 5]
    told = {
        (entry.learned - 1, name): value
        for entry in entries
        for name, value in entry.numbers.items()
        if not name.startswith("cost/")
    }
    rows = [row for row in values(run) if row["value"] is not None]
    assert len(rows) > 150
    assert told == {(row["after_task"], as_named(row)): row["value"] for row in rows}
    assert [set(entry.pictures) for entry in entries] == [set(), *[{"samples"}] * 5]
    assert entries[3].numbers["cost/replay_samples"] == run.costs[2]["replay_samples"] > 0
    assert recorder.runs[0].manifest["config"]["strategy"] == "bootstrap"
    assert recorder.ends == [True]


def test_losses_go_on_over_the_tasks(fast_run, recorder) -> None:
    run = fast_run(
        "bootstrap",
        track=("recorder",),
        generator="vae",
        evaluators=("accuracy",),
        options={"tasks": 2, "generator.steps": 7, "generator.batch": 8},
    )
    first, second = (entry.losses["generator vae"] for entry in recorder.entries[1:])
    assert [step for step, _ in first + second] == list(range(1, 15))
    record = json.loads((run.directory.task(1) / "training_00.json").read_text())
    assert [loss for _, loss in second] == [loss for _, loss in record["loss"]]


def test_no_number_and_no_id_changes(fast_run, tmp_path: Path) -> None:
    @register_tracker("gambler")
    class Gambler(Tracker):
        def begin(self, run: Run) -> None:
            self.log(Entry(0, {}))

        def log(self, entry: Entry) -> None:
            random.random()
            np.random.rand(3)
            torch.rand(3)
            torch.manual_seed(9)

        def end(self, finished: bool) -> None:
            self.log(Entry(0, {}))

    plain = fast_run("bootstrap", tmp_path / "plain")
    tracked = fast_run("bootstrap", tmp_path / "tracked", track=("gambler",))
    assert plain.id == tracked.id
    assert values(plain) == values(tracked)


@pytest.mark.parametrize("where", ["__init__", "begin", "log", "end"])
@pytest.mark.parametrize("error", [ValueError("no\nroom"), SystemExit(3)])
def test_a_failing_tracker_is_named_once_and_left_out(fast_run, recorder, capsys, where, error) -> None:
    def fail(*_: object) -> None:
        raise error

    cls = type("Broken", (recorder,), {where: fail, "entries": [], "runs": [], "ends": []})
    register_tracker("broken", cls)
    run = fast_run("naive", track=("broken", "recorder"), evaluators=("accuracy",))
    assert run.finished
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cl-bench: tracker broken is left out from here on: ")
    assert line.endswith("ValueError: no room" if isinstance(error, ValueError) else "SystemExit: 3")
    assert len(recorder.entries) == 6
    assert recorder.ends == [True]


def test_a_tracker_that_hangs_is_left_behind(fast_run, recorder, capsys, monkeypatch) -> None:
    @register_tracker("sleeper")
    class Sleeper(recorder):
        def log(self, entry: Entry) -> None:
            time.sleep(30)

    monkeypatch.setattr(tracking, "PATIENCE", 0.2)
    start = time.perf_counter()
    assert fast_run("naive", track=("sleeper",), evaluators=("accuracy",)).finished
    assert time.perf_counter() - start < 10
    told = capsys.readouterr().err
    assert told == "cl-bench: tracker sleeper is left out from here on: no answer within 0.2 s\n"


def test_a_resumed_run_tells_all_from_the_first_task_on(
    fast_run, recorder, tmp_path: Path, monkeypatch
) -> None:
    whole = fast_run("bootstrap", tmp_path / "whole", track=("recorder",))
    entries = [(entry.learned, dict(entry.numbers)) for entry in recorder.entries]
    recorder.entries.clear()
    observe = Bootstrap.observe

    def stop(self, task):
        observe(self, task)
        if task.index == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bootstrap, "observe", stop)
        with pytest.raises(KeyboardInterrupt):
            fast_run("bootstrap", tmp_path / "cut", track=("recorder",))
    assert [entry.learned for entry in recorder.entries] == [0, 1, 2]
    assert recorder.ends == [True, False]
    recorder.entries.clear()
    (path,) = (tmp_path / "cut").glob("*/*/*")
    cut = resume(path, quiet=True, track=("recorder",))

    def without_costs(numbers: dict[str, float]) -> dict[str, float]:
        return {name: value for name, value in numbers.items() if not name.startswith("cost/")}

    assert [(e.learned, without_costs(e.numbers)) for e in recorder.entries] == [
        (learned, without_costs(numbers)) for learned, numbers in entries
    ]
    assert values(cut) == values(whole)


def test_a_finished_run_is_told_without_training(fast_run, recorder, monkeypatch) -> None:
    fast_run("naive", evaluators=("accuracy",))
    monkeypatch.setattr(Bootstrap, "observe", None)
    fast_run("naive", evaluators=("accuracy",), track=("recorder",))
    assert [entry.learned for entry in recorder.entries] == [0, 1, 2, 3, 4, 5]


def test_what_is_missing_is_said_before_anything_is_made(fast_run, tmp_path: Path, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else find(name, *a)
    )
    with pytest.raises(
        UserError, match=r"^tracker wandb: wandb is missing; pip install 'cl-bench\[wandb\]'$"
    ):
        fast_run("naive", track=("wandb",))
    with pytest.raises(UserError, match=r"unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        fast_run("naive", track=("tensorbord",))
    assert not (tmp_path / "runs").exists()


PLUGIN = """
from pathlib import Path
from cl_bench import Tracker, register_tracker

@register_tracker("lines")
class Lines(Tracker):
    '''A line per task.'''
    def begin(self, run):
        self.path = run.path / "lines.txt"
        self.path.write_text("")
    def log(self, entry):
        with self.path.open("a") as file:
            file.write(f"{entry.learned} {len(entry.numbers)}\\n")
    def end(self, finished):
        pass
"""


def test_on_the_command_line(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lines.py").write_text(PLUGIN)
    Path("run.yaml").write_text(
        "strategy: naive\ngenerator: none\ntrack: [lines]\nlimit: 20\nevaluators: [accuracy]\n"
    )
    arguments = ["run", "--plugin", "lines.py", "--config", "run.yaml", "-o", "classifier_steps=20"]
    assert main([*arguments, "--dry-run"]) == 0
    assert "track" not in capsys.readouterr().out
    assert main([*arguments, "--dry-run", "--track", "linse"]) == 2
    assert "unknown tracker 'linse'; did you mean 'lines'?" in capsys.readouterr().err
    assert main([*arguments, "--quiet"]) == 0
    (told,) = Path("runs").glob("*/*/*/lines.txt")
    assert [line.split()[0] for line in told.read_text().splitlines()] == ["0", "1", "2", "3", "4", "5"]
    told.unlink()
    assert main(["resume", told.parent.name, "--track", "lines", "--quiet"]) == 0
    assert len(told.read_text().splitlines()) == 6
    assert main(["list", "trackers", "--plugin", "lines.py"]) == 0
    listed = capsys.readouterr().out
    assert "A line per task." in listed
    assert "Event files in the run's folder" in listed
    assert main(["check", "tensorboard"]) == 2
