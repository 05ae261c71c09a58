"""Two processes train as one: `accelerate launch` on two CPU processes against one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cl_bench import state
from cl_bench.processes import ALONE, Processes, join, together, working

ARGUMENTS = [
    "run", "--strategy", "bootstrap", "--limit", "20", "-o", "tasks=2", "--evaluators", "accuracy,depth",
    "-o", "generator.steps=10", "-o", "classifier_steps=40",
]  # fmt: skip


@pytest.mark.parametrize(("n", "count"), [(10, 3), (2, 4), (0, 2), (9, 2)])
def test_rows_are_shared_out_without_rest(n: int, count: int) -> None:
    shares = [list(range(n))[Processes(i, count).rows(n)] for i in range(count)]
    assert [row for share in shares for row in share] == list(range(n))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_exchanged() -> None:
    assert join("cpu") is ALONE is working()
    tensor = torch.arange(3.0)
    ALONE.sum([tensor])
    assert torch.equal(ALONE.gathered(tensor, 3), torch.arange(3.0))
    assert ALONE.agree(5) == 5


def test_work_is_shared_inside_only() -> None:
    two = Processes(1, 2)
    with together(two):
        assert working() is two
    assert working() is ALONE


def run(folder: Path, generator: str, batch: int, *launcher: str) -> Path:
    folder.mkdir()
    environment = {key: v for key, v in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    chosen = ["--generator", generator, "-o", f"generator.batch={batch}", "--output", str(folder)]
    command = [sys.executable, "-m", *launcher, "cl_bench", *ARGUMENTS, *chosen]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Accuracy by task") == 1, "the first process speaks for all"
    assert done.stderr.count("task 1/2  classes") == 1
    (found,) = folder.glob("splitdigits/bootstrap/*")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("generator", "batch"), [("ddpm", 9), ("stylegan2", 8)])
def test_two_processes_train_as_one(generator: str, batch: int, tmp_path: Path) -> None:
    """The same loss curve to within rounding, the same replay to a grey level, rows written once."""
    launcher = ("accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1")
    plain = ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m")
    one = run(tmp_path / "one", generator, batch)
    two = run(tmp_path / "two", generator, batch, *launcher, *plain)
    for task in ("task_00", "task_01"):
        curves = [json.loads((path / task / "training_00.json").read_text())["loss"] for path in (one, two)]
        assert len(curves[0]) == 10
        assert curves[0] == [pytest.approx(point, rel=1e-4) for point in curves[1]]
        replay = [state.load(path / task / "replay.safetensors") for path in (one, two)]
        assert torch.equal(replay[0]["y"], replay[1]["y"])
        assert (replay[0]["x"].int() - replay[1]["x"].int()).abs().max() <= 2
    rows = [[json.loads(line) for line in (path / "metrics.jsonl").open()] for path in (one, two)]
    keys = [[(r["metric"], r["after_task"], r["on_task"], r["class"]) for r in found] for found in rows]
    assert keys[0] == keys[1]
    assert len(set(keys[1])) == len(keys[1])
