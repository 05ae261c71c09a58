"""Judging a run again, by other evaluators or extractors, from what it left on disk: nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from cl_bench.config import Config, Resolved, chosen_evaluators, resolve
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError
from cl_bench.finished_run import Run, load_run
from cl_bench.judging import Judging
from cl_bench.law import Law
from cl_bench.progress import Progress
from cl_bench.real_features import RealFeatures
from cl_bench.real_sets import RealSets
from cl_bench.rows import ENDS, Row
from cl_bench.run_directory import RunDirectory, locked
from cl_bench.run_manifest import check_data, definitions
from cl_bench.runner import fitted, judged_samples, new_strategy
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategy import Strategy
from cl_bench.stream import TaskStream, sealed_tests
from cl_bench.trained import trained_strategy


def evaluate(
    run: str | Path | Run,
    evaluators: tuple[str, ...] | None = None,
    extractors: tuple[str, ...] | None = None,
    *,
    output: str | Path = DEFAULT_OUTPUT,
    device: str = "auto",
    data_root: str | Path | None = None,
    quiet: bool = False,
    progress: Progress | None = None,
    ci: bool | None = None,
) -> Run:
    """Judge the finished tasks of `run` (a run, a path, or a run id below `output`) once more.

    evaluators, extractors: by name; None for those of the run. Samples are those that the run was judged by,
    or its replay sets; weights are loaded only for what is not on disk. The rows stand beside the run's
    own, and in place of those with the same metric, task and class; the run's id and its checkpoints stay as
    they are, pictures are drawn anew.
    data_root: where its data lie now. ci: with 95 % confidence intervals; None: where the run has them.
    Raises UserError where nothing is finished, data or code have changed too much, or the run is in use.
    """
    run = run if isinstance(run, Run) else load_run(run, output)
    progress = progress or Progress(quiet)
    asked = Config.from_dict(run.manifest["config"] | {"device": device}).request()
    if data_root is not None:
        asked = replace(asked, data_root=str(data_root))
    if ci is not None:
        asked = replace(asked, ci=ci)
    names = evaluators or asked.evaluators or ()
    features = any("features" in cls.needs for cls in chosen_evaluators(names))
    asked = replace(
        asked, evaluators=names, extractors=extractors or (asked.extractors if features else None)
    )
    resolved = resolve(asked, progress)
    with progress.phase(f"loading benchmark {run.benchmark}"):
        stream = resolved.new_benchmark().build(resolved.config.order_seed, resolved.config.limit)
    with locked(run.path) as directory:
        check_data(directory, stream)
        done = directory.finished_tasks()
        if not done:
            raise UserError(f"{run.path}: no task is finished yet")
        past = _Past(run, resolved, stream, progress)
        judges = [cls() for cls in resolved.evaluators if cls.fits(stream, past.generative)]
        if not judges:
            raise UserError(
                f"{', '.join(names)}: strategy {run.strategy!r} on {run.benchmark!r} has nothing to judge so"
            )
        real = RealSets(stream)
        wanted = resolved.extractors if any("features" in judge.needs for judge in judges) else ()
        chosen = tuple(fitted(cls(stream.spec, past.device), real, directory, progress) for cls in wanted)
        once = RealFeatures(stream, real, progress)
        judging = Judging(directory.id, resolved.config, stream, judges, once, chosen, past.device, progress)
        rows: list[Row] = []
        for task in range(-1, done):
            if task >= 0:
                progress.task(task, done, "judged again")
            samples = past.samples(task) if task >= 0 and judging.needs_samples else None
            folder = directory.task(task)
            learner = partial(past.predictions, task), partial(past.latent, task), partial(past.law, task)
            rows += judging.rows(task, *learner, past.nats, samples, list(rows), folder)
        _record(directory, rows, resolved)
    return Run(directory)


class _Past:
    """What a strategy was after each task of a finished run: from its files, or from its restored weights."""

    def __init__(self, run: Run, resolved: Resolved, stream: TaskStream, progress: Progress) -> None:
        self.run, self.resolved, self.stream, self.progress = run, resolved, stream, progress
        self.device = torch.device(resolved.config.device)
        self._restored: dict[int, Strategy] = {}
        self._logits: dict[int, list[Tensor]] = {}
        self._first: Strategy | None = None

    @property
    def generative(self) -> bool:
        return self.run.samples(0) is not None or self.strategy(0).generative

    def strategy(self, after_task: int) -> Strategy:
        if after_task not in self._restored:
            self._restored.clear()  # one at a time: they may be large
            if after_task < 0:
                with isolated(self.run.seed, "strategy"):
                    found = new_strategy(self.resolved, self.stream.spec, self.device, self.progress)
            else:
                found = trained_strategy(self.run, after_task, self.device.type, self.progress)
            self._restored[after_task] = found
        return self._restored[after_task]

    def samples(self, after_task: int) -> Samples:
        stored = self.run.samples(after_task)
        if stored is not None:
            return stored
        with isolated(self.run.seed, "predict", after_task), sealed_tests():
            return judged_samples(self.strategy(after_task), self.stream, after_task, self.progress)

    def predictions(self, after_task: int, group: int) -> Tensor:
        if after_task not in self._logits:
            strategy, tests = self.strategy(after_task), self.stream.test
            with isolated(self.run.seed, "predict", after_task), sealed_tests():
                self._logits = {after_task: [strategy.predict(test.x) for test in tests]}
        return self._logits[after_task][group]

    def latent(self, after_task: int, x: Tensor) -> Tensor | None:
        return self.strategy(after_task).latent(x)

    def nats(self, after_task: int, x: Tensor) -> Tensor | None:
        if after_task == 0:
            # Asked for after every task.
            self._first = self._first or self.strategy(0)
            return self._first.nats(x)
        return self.strategy(after_task).nats(x)

    def law(self, after_task: int) -> Law | None:
        return self.strategy(after_task).law()


def _record(directory: RunDirectory, rows: list[Row], resolved: Resolved) -> None:
    """Put `rows` beside those of earlier evaluations, in place of what they measure again."""
    earlier, names = directory.evaluation(), {row.metric for row in rows}
    names |= {f"{name}:{word}" for name in names for word in ENDS}
    kept = [row for row in earlier.get("rows", []) if row["metric"] not in names]
    directory.record_evaluation(
        {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": resolved.versions(),
            "metrics": earlier.get("metrics", {}) | definitions(resolved),
            "rows": kept + [row.as_dict() for row in rows],
        }
    )
