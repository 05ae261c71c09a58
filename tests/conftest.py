"""Fixtures: small real streams and fast runs on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from cl_bench.benchmark import Benchmark, ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.finished_run import Run
from cl_bench.options import build as build_options
from cl_bench.progress import Progress
from cl_bench.registry import ALL, benchmarks
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


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache and data folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CL_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CL_BENCH_DATA", raising=False)
        yield


USERS_DATA = os.environ.get("CL_BENCH_DATA")
UNPACK = Path(__file__).parents[2] / "shared" / "data" / "unpack.py"


@pytest.fixture(scope="session")
def real_data(pytestconfig: pytest.Config):
    """Data root that holds a real data set, by `cl-bench data` name; skips where there is none.

    Looked for in CL_BENCH_DATA, else laid out by a script beside the checkout, once.
    """
    from cl_bench.cli.data import data_sets
    from cl_bench.data_set import MissingFiles

    assert pytestconfig.cache is not None
    laid_out = Path(pytestconfig.cache.mkdir("real-data"))

    def root(name: str) -> Path:
        data_set = data_sets()[name]
        for place in ([Path(USERS_DATA)] if USERS_DATA else []) + [laid_out]:
            try:
                data_set.files(place)
                return place
            except MissingFiles:
                pass
        packed = {
            "cifar100": "cifar-100",
            "mnist": "mnist",
            "flowers102": "flowers-102",
            "wikitext2": "wikitext-2",
        }
        if name not in packed or not UNPACK.is_file():
            pytest.skip(f"no real {data_set.title}")
        with FileLock(laid_out / ".lock"):
            subprocess.run([sys.executable, str(UNPACK), str(laid_out), packed[name]], check=True)
        return laid_out

    return root


@pytest.fixture
def build(real_data):
    """A benchmark by name with options, on its real data."""

    def make(name: str, **options: object) -> Benchmark:
        cls = benchmarks.get(name)
        given = build_options(cls.Options, options, name)
        data_set = cls(given).data_set()
        return cls(given, real_data(data_set.name) if data_set is not None else None)

    return make


@pytest.fixture
def law_loop():
    """A self-consuming loop through the real strategy: what the fitted law is beside the true one, (R,) by
    metric, generation after generation."""
    from cl_bench.config import Request, resolve
    from cl_bench.runner import new_strategy
    from cl_bench.seeds import isolated

    def go(
        strategy: str, benchmark: str, generator: str, **options: object
    ) -> Iterator[dict[str, torch.Tensor]]:
        resolved = resolve(Request(strategy, benchmark, generator, device="cpu", options=options))
        stream = resolved.new_benchmark().build()
        learner = new_strategy(resolved, stream.spec, torch.device("cpu"), Progress(quiet=True))
        for task in stream.tasks:
            with isolated(0, "observe", task.index):
                learner.observe(task)
            yield learner.law().compared(stream.law)

    return go
