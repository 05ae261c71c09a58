"""A hundred runs of twenty tasks, as many rows as the standard evaluators write: read and tabulated in 5 s.

Imports are not counted, nor figures and the page, which are drawn once and whose number does not grow with
the runs. Processor time is reported beside the clock's, for machines that do other work besides.
"""

from __future__ import annotations

import gc
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cl_bench
from cl_bench.evaluators.accuracy import Accuracy
from cl_bench.evaluators.cas import CAS
from cl_bench.evaluators.depth import Depth
from cl_bench.evaluators.frechet import Frechet
from cl_bench.evaluators.otdd import OTDD
from cl_bench.extractors.classifier import ClassifierFeatures
from cl_bench.finished_run import find_runs
from cl_bench.reports import content, exports, table
from cl_bench.rows import Row
from cl_bench.run_directory import METRICS, RunDirectory

pytestmark = pytest.mark.perf

STRATEGIES = ("naive", "joint", "bootstrap", "ddgr", "dgr", "merge-gan", "guide", "once-replay", "er", "gem")
SEEDS, TASKS, CLASSES = 10, 20, 5  # classes a task
LIMIT = 5.0


def measured(run: str, strategy: str, seed: int) -> Iterator[Row]:
    """What the standard evaluators yield, as a run on `splitcifar100 -o tasks=20` has it."""
    draw = random.Random(f"{strategy} {seed}").random

    def row(t: int, metric: str, on: int | None = None, c: int | None = None) -> Row:
        return Row(run, "splitcifar100", strategy, seed, t, on, c, metric, draw(), 500, 0.1 * draw())

    matrix = ("accuracy_class_il", "accuracy_task_il")
    overall = [name for name in Accuracy.metrics if name not in matrix]
    by_class = [name.format(extractor="classifier") for name in (*Frechet.metrics, *OTDD.metrics)]
    for t in range(TASKS):
        for on in range(t + 1):
            yield from (row(t, name, on) for name in (*matrix, *CAS.metrics, *Depth.metrics, *by_class))
            for c in range(CLASSES * on, CLASSES * (on + 1)):
                yield from (row(t, name, on, c) for name in by_class)
        yield from (row(t, name) for name in (*overall, *CAS.metrics, *Depth.metrics, *by_class))


def make(root: Path, strategy: str, seed: int) -> int:
    """A finished run; how many rows it has."""
    name = f"{STRATEGIES.index(strategy):04x}{seed:04x}"
    directory = RunDirectory(root / "splitcifar100" / strategy / name)
    directory.path.mkdir(parents=True)
    evaluators = (Accuracy, CAS, Depth, Frechet, OTDD)
    definitions = {
        metric: {"title": about.title, "higher_is_better": about.higher_is_better, "doc": about.doc}
        for evaluator in evaluators
        for metric, about in evaluator.definitions((ClassifierFeatures,), False).items()
    }
    directory.create(
        {
            "id": name,
            "config": {
                "strategy": strategy,
                "benchmark": "splitcifar100",
                "generator": "ddpm",
                "seed": seed,
                "order_seed": None,
                "limit": None,
                "device": "cpu",
                "strategy_options": {"classifier": "resnet18", "start": "warm"},
                "benchmark_options": {"tasks": TASKS},
                "generator_options": {"steps": 1000, "size": "base"},
            },
            "versions": {"cl-bench": "0.1.0", "torch": "2.11.0"},
            "data": {"source": "CIFAR-100", "fingerprint": "f00d"},
            "tasks": [list(range(CLASSES * t, CLASSES * (t + 1))) for t in range(TASKS)],
            "class_names": [f"class {c}" for c in range(CLASSES * TASKS)],
            "metrics": definitions,
        }
    )
    rows = list(measured(name, strategy, seed))
    lines = [json.dumps(row.as_dict()) + "\n" for row in rows]
    (directory.path / METRICS).write_text("".join(lines), encoding="utf-8")
    for t in range(TASKS):
        directory.task(t).mkdir()
        costs = {"task": t, "seconds_training": 60.0, "network_evaluations": 100 * t, "stored_bytes": 10**6}
        directory.finish(t, costs, sum(row.after_task <= t for row in rows))
    return len(rows)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        rows = [make(root, strategy, seed) for strategy in STRATEGIES for seed in range(SEEDS)]
    # Torch is there for other tests only: a report does not import it; its objects are not searched.
    gc.collect()
    gc.freeze()
    print(f"\n{len(rows)} runs of {TASKS} tasks, {sum(rows):,} rows")
    return root


def timed(what: str, function: Callable[[], object]) -> float:
    """Seconds of processor time, the less of two goes, of which the first imports; both are printed."""
    least = float("inf")
    for _ in range(2):
        wall, processor = time.perf_counter(), time.process_time()
        function()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"{what}: {wall:.2f} s, of which the processor worked {processor:.2f} s")
        least = min(least, processor)
    return least


def test_a_comparison(runs: Path) -> None:
    def compare() -> None:
        made = content.Comparison(find_runs(runs))
        exports.markdown(made.heading, made.tables, made.notes, made.definition_texts)
        exports.latex(made.tables)
        exports.csv(made.wide)

    assert timed("read, tables, Markdown, LaTeX, wide CSV", compare) < LIMIT


def test_the_tidy_frame(runs: Path) -> None:
    assert timed("load_runs", lambda: cl_bench.load_runs(runs)) < LIMIT


def test_a_table_of_it(runs: Path) -> None:
    frame = cl_bench.load_runs(runs)
    assert timed("table", lambda: table(frame, "otdd:classifier", columns="after_task")) < 1.0
