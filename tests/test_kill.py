"""kill -9 at random moments, then resume: the same rows, bit for bit, as a run that was never stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cl_bench import state

ARGUMENTS = [
    "--limit", "40", "--evaluators", "accuracy,cas,depth,frechet,otdd,samples", "-o", "generator.steps=250",
    "-o", "classifier_steps=120",
]  # fmt: skip


# The command line with a checkpoint of a training after almost every step.
OFTEN = (
    "import cl_bench.checkpoint as c; c.CHECKPOINT_SECONDS = 0.1\n"
    "import sys; from cl_bench.cli.main import main; sys.exit(main())"
)


def start(folder: Path, *verb: str, often: bool = False) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(("-c", OFTEN) if often else ("-m", "cl_bench")), *verb],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def values(folder: Path) -> list[dict[str, object]]:
    (metrics,) = folder.glob("runs/*/*/*/metrics.jsonl")
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.mark.slow
def test_five_kills_change_nothing(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    process = start(whole, "run", *ARGUMENTS)
    assert process.stderr is not None
    began = 0.0
    for line in process.stderr:
        if line.startswith("task 1/5") and not began:
            began = time.perf_counter()
    assert process.wait() == 0
    duration = time.perf_counter() - began

    chance = random.Random(os.environ.get("CL_BENCH_KILL_SEED", "0"))
    kills = 0
    for _ in range(5):
        process = start(cut, "run", *ARGUMENTS)
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("task "):
                break
        time.sleep(chance.uniform(0, 0.45) * duration)
        if process.poll() is None:
            kills += 1
            os.kill(process.pid, signal.SIGKILL)
        process.stderr.close()
        process.wait()
    assert kills >= 3

    (run,) = cut.glob("runs/*/*/*")
    resumed = start(cut, "resume", str(run), "--quiet")
    assert resumed.stderr is not None
    errors = resumed.stderr.read()
    assert resumed.wait() == 0, errors
    assert values(cut) == values(whole)


def wait_for(what: Path, pattern: str, process: subprocess.Popen[str], seconds: float = 300) -> Path:
    """The first file below `what` that matches, as soon as it is there."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and process.poll() is None:
        for found in what.glob(pattern):
            return found
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} before the process ended: {process.poll()}")


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_training_loses_no_step(tmp_path: Path) -> None:
    """Killed while `ddpm` trains on task 2, the run goes on from the training's own checkpoint."""
    arguments = [
        "run", "--strategy", "bootstrap", "--generator", "ddpm", "--limit", "20", "-o", "tasks=2",
        "-o", "generator.steps=60", "-o", "generator.batch=8", "-o", "classifier_steps=40",
        "--evaluators", "accuracy,frechet", "--quiet",
    ]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    assert start(whole, *arguments).wait() == 0
    process = start(cut, *arguments, often=True)
    saved = wait_for(cut, "runs/*/*/*/training_01/training_00.safetensors", process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = int(state.load(saved)["done"])
    assert 0 < done < 60
    assert not list(cut.glob("runs/*/*/*/task_01/finished.json"))
    again = start(cut, *[argument for argument in arguments if argument != "--quiet"])
    assert again.stderr is not None
    told = again.stderr.read()
    assert again.wait() == 0, told
    assert "1 of 2 tasks are finished" in told
    assert values(cut) == values(whole)
    records = [next(f.glob("runs/*/*/*/task_01/training_00.json")).read_text() for f in (whole, cut)]
    assert json.loads(records[0])["loss"] == json.loads(records[1])["loss"]
