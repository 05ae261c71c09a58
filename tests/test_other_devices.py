"""Runs on another device end to end: what they compute there is what they compute on the CPU, nothing mixed.

On the simulated device draws are the CPU's, so that rows must agree; on CUDA, where there is one, they
differ, and runs only have to go through.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from simulated_device import DEVICE, simulated

from cl_bench.finished_run import Run
from cl_bench.runner import run

DIFFUSION = {
    "generator.size": "tiny",
    "generator.steps": 3,
    "generator.batch": 8,
    "generator.sampling_steps": 2,
}
GAN = {"generator.steps": 2, "generator.batch": 8}
FEW = {"classifier_steps": 5}
DIGITS: list[tuple[str, str | None, dict[str, Any]]] = [
    ("bootstrap", "ddpm", DIFFUSION | FEW),
    ("bootstrap", "edm", DIFFUSION | FEW),
    ("bootstrap", "flow", {"generator.steps": 3} | FEW),
    ("bootstrap", "mlp-diffusion", {"generator.steps": 3} | FEW),
    ("bootstrap", "vae", {"generator.steps": 3} | FEW),
    ("bootstrap", "stylegan2", GAN | {"generator.width": 8} | FEW),
    ("mixed", "gaussian", FEW),
    ("accumulate", "gaussian", FEW),
    ("joint", "gaussian", FEW),
    ("naive", "gaussian", FEW),
    ("experience-replay", "gaussian", FEW),
    ("once-replay", "gaussian", FEW),
    ("anchored-replay", "gaussian", FEW),
    ("dgr", "gaussian", FEW),
    ("merge-gan", "resnet-gan", GAN | FEW),
    ("generative-distillation", "ddpm", DIFFUSION | FEW),
    ("guide", "ddpm", DIFFUSION | FEW),
    ("brain-inspired-replay", None, {"steps": 5}),
    ("ddgr", "ddpm", DIFFUSION | FEW),
    ("ddgr-reference", "ddpm", DIFFUSION | {"classifier_epochs": 1}),
    ("gan-memory", None, {"steps": 2, "base_steps": 2, "batch": 8} | FEW),
    ("avalanche:EWC", None, {}),
]
LOOPS: list[tuple[str, str, dict[str, Any]]] = [
    ("gmm5", "wgan", {"generator.steps": 3}),
    ("gmm5", "gmm", {}),
    ("gmm5", "kde", {}),
    ("gaussian1d", "gaussian", {"replicas": 50}),
    ("centred-gamma:2", "logistic", {}),
    ("linear:3", "ols", {}),
    ("zipf:20", "categorical", {}),
    (
        "pydoc",
        "causal-lm",
        {"generator.layers": 1, "generator.width": 16, "generator.steps": 2, "block": 16, "vocabulary": 300},
    ),
]


@pytest.fixture(params=[pytest.param("simulated", marks=pytest.mark.simulated), "cuda"])
def both(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run on the other device, and one on the CPU to compare it with where that can be done."""

    def go(strategy: str, **settings: Any) -> tuple[Run, Run | None]:
        asked: dict[str, Any] = {"quiet": True, "output": tmp_path} | settings
        if request.param == "cuda":
            return run(strategy, device="cuda", **asked), None
        with monkeypatch.context() as patch, simulated():
            patch.setattr("cl_bench.config._device", lambda name: str(DEVICE))
            there = run(strategy, **asked)
        return there, run(strategy, device="cpu", **asked)

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return go


def agree(there: Run, here: Run | None) -> None:
    """Their rows say the same, but for what the order of sums does."""
    assert len(there.rows)
    assert np.isfinite(there.rows["value"].dropna()).all()
    if here is None:
        return
    assert there.id != here.id
    columns = ["after_task", "on_task", "class", "metric", "value", "n"]
    pd.testing.assert_frame_equal(there.rows[columns], here.rows[columns], rtol=1e-4, atol=1e-6)


def test_whatever_is_quick_on_the_simulated_device() -> None:
    folder = Path(__file__).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "tests/simulated", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_a_run_computes_there_what_it_computes_on_the_cpu(both) -> None:
    evaluators = ("accuracy", "depth", "frechet", "otdd")
    settings = {"generator": "gaussian", "limit": 16, "classes": 4, "tasks": [2, 2], "options": FEW}
    agree(*both("bootstrap", evaluators=evaluators, extractors=("random-conv",), **settings))


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "generator", "options"), DIGITS)
def test_strategies(strategy: str, generator: str | None, options: dict[str, Any], both) -> None:
    settings: dict[str, Any] = {"limit": 16, "classes": 4, "tasks": [2, 2], "options": options}
    if generator is not None:
        settings |= {"generator": generator, "evaluators": ("accuracy", "depth", "frechet")}
        settings |= {"extractors": ("pixels",)}
    if strategy.startswith("avalanche:"):
        settings |= {"evaluators": ("accuracy",)}
    agree(*both(strategy, **settings))


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "generator", "options"), LOOPS)
def test_loops(benchmark: str, generator: str, options: dict[str, Any], both) -> None:
    settings = {"benchmark": benchmark, "generator": generator, "generations": 2, "options": options}
    agree(*both("bootstrap", limit=30, **settings))
