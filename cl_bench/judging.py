"""Who judges what strategies did, and by which features."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from cl_bench.config import Config
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.extractor import Extractor
from cl_bench.intervals import Intervals
from cl_bench.law import Law
from cl_bench.progress import Progress
from cl_bench.real_features import RealFeatures
from cl_bench.rows import Measurement, Row
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream


@dataclass(frozen=True)
class Judging:
    """Evaluators of one run, with all that they share from task to task.

    run_id, config: of the run, for its rows. judges: those that can judge its strategy. extractors: fitted.
    seconds: that each judge took when last asked; what judges share is computed for the first that needs it.
    """

    run_id: str
    config: Config
    stream: TaskStream
    judges: Sequence[Evaluator]
    real: RealFeatures
    extractors: tuple[Extractor, ...]
    device: torch.device
    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def needs_samples(self) -> bool:
        return any("samples" in judge.needs for judge in self.judges)

    @property
    def needs_predictions(self) -> bool:
        return any("predictions" in judge.needs for judge in self.judges)

    def rows(
        self,
        after_task: int,
        predictions: Callable[[int], Tensor],
        own: Callable[[Tensor], Tensor | None],
        law: Callable[[], Law | None],
        nats: Callable[[int, Tensor], Tensor | None],
        samples: Samples | None,
        history: list[Row],
        folder: Path,
    ) -> Iterator[Row]:
        """What the judges say after `after_task` (−1: before the first), each number as soon as it is known.

        predictions: group of classes to logits on its test set. own: data to the strategy's own
        features. law: that of its samples. nats: a task and data to `Evidence.nats`. samples, history,
        folder: see `Evidence`.
        """
        evidence = Evidence(
            self.stream,
            after_task,
            predictions,
            own,
            law,
            nats,
            samples,
            self.real,
            self.extractors,
            history,
            folder,
            self.device,
            self.progress,
            Intervals(self.config.ci),
        )
        self.seconds.clear()
        for judge in self.judges:
            if after_task < 0 and not judge.before_first:
                continue
            start = time.perf_counter()
            told = self.progress.phase(f"evaluate {judge.name}")
            with isolated(self.config.seed, "evaluate", after_task, judge.name), told:
                yield from self._rows(after_task, judge.evaluate(evidence))
            self.seconds[judge.name] = round(time.perf_counter() - start, 3)

    def _rows(self, after_task: int, measurements: Iterator[Measurement]) -> Iterator[Row]:
        start = time.perf_counter()
        for m in (part for measurement in measurements for part in measurement.with_ends()):
            now = time.perf_counter()
            yield Row(
                self.run_id,
                self.config.benchmark,
                self.config.strategy,
                self.config.seed,
                after_task,
                m.on_task,
                m.class_,
                m.metric,
                # JSON has no NaN; a number that is none is undefined.
                float(m.value) if m.value is not None and math.isfinite(m.value) else None,
                m.n,
                round(now - start, 4),
            )
            start = time.perf_counter()
