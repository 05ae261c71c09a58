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

ARGUMENTS = [
    "--limit", "40", "--evaluators", "accuracy,cas,depth,frechet,otdd,samples", "-o", "generator.steps=250",
    "-o", "classifier_steps=120",
]  # fmt: skip


def start(folder: Path, *verb: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cl_bench", *verb],
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
