"""cl-bench: what is lost when a model learns from its own samples, task after task.

    import cl_bench
    run = cl_bench.run(strategy="ddgr", benchmark="splitdigits", seed=0)
    run.rows           # tidy DataFrame, one number a row
    cl_bench.load_runs("runs")   # all numbers of all runs, the same way; find_runs: the runs themselves

Everything is imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cl_bench.registry import (
    available,
    load_plugin,
    register_benchmark,
    register_evaluator,
    register_extractor,
    register_generator,
    register_strategy,
    register_tracker,
)

if TYPE_CHECKING:
    from cl_bench.benchmark import Benchmark
    from cl_bench.errors import TrainingDiverged, UserError
    from cl_bench.evaluation import evaluate
    from cl_bench.evaluator import Evaluator
    from cl_bench.extractor import Extractor
    from cl_bench.finished_run import Run, compare, find_runs, load_run
    from cl_bench.generator import Generator
    from cl_bench.mix import Mix
    from cl_bench.reproduction import reproduce
    from cl_bench.runner import resume, run
    from cl_bench.samples import Samples
    from cl_bench.set_comparison import compare_sets
    from cl_bench.strategy import Strategy
    from cl_bench.stream import Task, TaskStream
    from cl_bench.tidy import load_runs
    from cl_bench.tracker import Tracker

__version__ = "0.1.0"

_WHERE = {
    "Benchmark": "benchmark",
    "Evaluator": "evaluator",
    "Extractor": "extractor",
    "Generator": "generator",
    "Mix": "mix",
    "Run": "finished_run",
    "Samples": "samples",
    "Strategy": "strategy",
    "Task": "stream",
    "TaskStream": "stream",
    "Tracker": "tracker",
    "TrainingDiverged": "errors",
    "UserError": "errors",
    "compare": "finished_run",
    "compare_sets": "set_comparison",
    "evaluate": "evaluation",
    "find_runs": "finished_run",
    "load_run": "finished_run",
    "load_runs": "tidy",
    "reproduce": "reproduction",
    "resume": "runner",
    "run": "runner",
}

__all__ = [
    "Benchmark",
    "Evaluator",
    "Extractor",
    "Generator",
    "Mix",
    "Run",
    "Samples",
    "Strategy",
    "Task",
    "TaskStream",
    "Tracker",
    "TrainingDiverged",
    "UserError",
    "__version__",
    "available",
    "compare",
    "compare_sets",
    "evaluate",
    "find_runs",
    "load_plugin",
    "load_run",
    "load_runs",
    "register_benchmark",
    "register_evaluator",
    "register_extractor",
    "register_generator",
    "register_strategy",
    "register_tracker",
    "reproduce",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cl_bench' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"cl_bench.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
