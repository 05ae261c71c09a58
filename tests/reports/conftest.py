"""Run directories made by hand, with numbers known beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl_bench.finished_run import Run
from cl_bench.rows import Row
from cl_bench.run_directory import RunDirectory

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
