"""Fixtures: small real streams and fast runs on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.finished_run import Run
from cl_bench.progress import Progress
from cl_bench.registry import ALL
from cl_bench.runner import run
from cl_bench.stream import TaskStream


@pytest.fixture(autouse=True)
def _registries_as_found() -> Iterator[None]:
    """What a test registers is gone after it."""
    # names() first: the entry points must be among what is found.
    found = {kind: dict(registry._targets) for kind, registry in ALL.items() if registry.names()}
    yield
    for kind, registry in ALL.items():
        registry._targets = found[kind]


# Enough to go through every path in a second or two; quality is not the question where it is used.
FAST = {"generator": "gaussian", "limit": 20, "quiet": True, "classifier_steps": 60}
FAST_EVALUATORS = ("accuracy", "depth", "frechet", "otdd")


@pytest.fixture(scope="session")
def digits() -> TaskStream:
    """All 1,797 real digits in 5 tasks."""
    return SplitDigits(ClassIncremental()).build()


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


@pytest.fixture
def quiet() -> Progress:
    return Progress(quiet=True)


@pytest.fixture
def fast_run(tmp_path: Path):
    """Run a strategy on few real digits with the closed-form generator, below tmp_path unless told where."""

    def go(strategy: str, output: Path | None = None, **kwargs: object) -> Run:
        settings = FAST | {"evaluators": FAST_EVALUATORS, "output": output or tmp_path / "runs"} | kwargs
        return run(strategy, **settings)

    return go
