"""Run directories made by hand, with numbers known beforehand."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cl_bench.finished_run import Run
from cl_bench.rows import Row
from cl_bench.run_directory import RunDirectory

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

Make = Callable[..., Run]

METRICS = {
    "accuracy_class_il": ("accuracy class-IL", True),
    "average_accuracy_class_il": ("ACC class-IL", True),
    "average_incremental_accuracy_class_il": ("AIA class-IL", True),
    "backward_transfer_class_il": ("BWT class-IL", True),
    "forgetting_class_il": ("forgetting class-IL", False),
    "cas": ("CAS", True),
    "cas:real": ("CAS real", None),
    "generation_depth": ("depth", None),
    "fd:classifier": ("FD", False),
    "fd:classifier:floor": ("FD floor", None),
    "otdd:classifier": ("OTDD", False),
    "otdd:classifier:floor": ("OTDD floor", None),
}
GENERATIVE = {"otdd:classifier": 0.5, "otdd:classifier:floor": 0.125, "cas": 0.75, "cas:real": 0.875}


@pytest.fixture
def make_run(tmp_path: Path) -> Make:
    """Makes a run of three tasks below tmp_path/runs; ACC after task t is `acc` minus 0.1 (2 − t)."""

    def make(
        strategy: str = "mixed",
        seed: int = 0,
        acc: float = 0.9,
        otdd: float | tuple[float, ...] | None = 0.5,
        costs: dict[str, Any] | tuple[dict[str, Any], ...] | None = None,
        finished: int = 3,
        class_names: tuple[str, ...] = ("cat", "dog", "owl"),
        root: Path = tmp_path / "runs",
        extra: tuple[tuple[str, str, bool | None, float], ...] = (),
        versions: dict[str, str] | None = None,
        **config: Any,
    ) -> Run:
        """otdd: one for all tasks, or one after each. costs: of all tasks or each, beside seconds and bytes.
        extra: (name, title, higher_is_better, value) of metrics that only a third party knows."""
        resolved = {
            "strategy": strategy,
            "benchmark": "toy",
            "generator": "gaussian",
            "seed": seed,
            "order_seed": None,
            "device": "cpu",
            "limit": None,
            "evaluators": ["accuracy"],
            "plugins": [],
            "strategy_options": {"start": "warm"},
            "benchmark_options": {"tasks": 3},
            "generator_options": {"steps": 300},
        } | config
        told = {"cl-bench": "0.1.0", "torch": "2.15.0"} | (versions or {})
        name = hashlib.sha256(json.dumps([resolved, told], sort_keys=True).encode()).hexdigest()[:12]
        safe = "".join(ch if ch.isalnum() else "_" for ch in strategy)
        directory = RunDirectory(root / "toy" / safe / name)
        directory.path.mkdir(parents=True)
        titles = METRICS | {m: (title, higher) for m, title, higher, _ in extra}
        directory.create(
            {
                "id": name,
                "created": "2026-01-01T00:00:00+00:00",
                "config": resolved,
                "versions": told,
                "git": "abc123",
                "environment": {"device": "x86_64", "processors": 2},
                "paper": "A. Author 2026, https://example.org/paper",
                "data": {"source": "toy data", "fingerprint": "f00d"},
                "tasks": [[0], [1], [2]],
                "class_names": list(class_names),
                "metrics": {
                    m: {"title": title, "higher_is_better": higher, "doc": f"what {m} is"}
                    for m, (title, higher) in titles.items()
                },
                "extractors": {
                    "classifier": {
                        "hash": "beef",
                        "title": "frozen reference classifier",
                        "n": 100,
                        "accuracy": 0.95,
                    }
                },
            }
        )

        def add(
            t: int, metric: str, value: float | None, on: int | None = None, c: int | None = None
        ) -> None:
            directory.append(Row(name, "toy", strategy, seed, t, on, c, metric, value, 40 + t, 0.0))

        for t in range(finished):
            directory.task(t).mkdir()
            for i in range(t + 1):
                add(t, "accuracy_class_il", 1.0 - 0.25 * (t - i), i)
            add(t, "average_accuracy_class_il", acc - 0.1 * (2 - t))
            add(t, "forgetting_class_il", 0.25 if t else None)
            for m, _, _, value in extra:
                add(t, m, value)
            if otdd is not None:
                now = otdd[t] if isinstance(otdd, tuple) else otdd
                for m, value in (GENERATIVE | {"otdd:classifier": now}).items():
                    add(t, m, value)
                for i in range(t + 1):
                    add(t, "otdd:classifier", now + i, i)
                    add(t, "otdd:classifier", now + i, i, i)
            measured = {"task": t, "seconds_training": 1.5, "stored_bytes": 2_000_000}
            own = costs[t] if isinstance(costs, tuple) else costs or {}
            directory.finish(t, measured | own, len(directory.rows()))
        return Run(directory)

    return make


@pytest.fixture
def embed_task() -> Callable[..., Path]:
    """Writes the umap.safetensors of a task of a run, as the evaluator does: class c around (10 c, 0), replay
    one unit above; images of one value, 10 c real and 10 c + 1 replayed, where there is a side."""

    def write(
        run: Run, task: int, classes: int = 3, each: int = 4, side: int | None = 8, depth: int = 1
    ) -> Path:
        y = np.tile(np.repeat(np.arange(classes, dtype=np.int32), each), 2)
        replay = np.repeat(np.array([0, 1], np.uint8), classes * each)
        noise = np.random.default_rng(task).normal(scale=0.2, size=(len(y), 2))
        points = (np.stack([10 * y, replay], axis=1) + noise).astype(np.float32)
        found = {"points": points, "y": y, "depth": (depth * replay).astype(np.int32), "replay": replay}
        if side is not None:
            found["of"] = np.arange(len(y), dtype=np.int32)
            value = (10 * y + replay).astype(np.uint8)
            # One pixel tells samples of a class apart.
            images = np.tile(value[:, None, None, None], (1, 1, side, side))
            images[:, 0, 0, 0] = np.arange(len(y)) % (classes * each)
            found["thumbnails"] = images
        about = {
            "extractor": "frozen reference classifier",
            "neighbours": "15",
            "min_distance": "0.4",
            "seed": "0",
            "fitted_on": "real and replayed samples together",
        }
        path = run.directory.task(task) / "umap.safetensors"
        save_file(found, path, about)
        return path

    return write


@pytest.fixture(scope="session")
def browser() -> Iterator[WebDriver]:
    """Headless Chromium that logs what its pages ask for and complain of."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on PATH (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-background-networking",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options, Service(driver))
    yield found
    found.quit()
