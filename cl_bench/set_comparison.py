"""Two sets of samples compared by every metric that needs no training: without any run or strategy.

The first set is the real one. A third of each of its classes is compared with the second set, another with a
second third, which gives the floor at the same n; the last is for extractors that learn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cl_bench.config import chosen_evaluators, chosen_extractors
from cl_bench.errors import UserError
from cl_bench.evaluator import Evidence, named
from cl_bench.intervals import Intervals
from cl_bench.progress import Progress
from cl_bench.real_features import RealFeatures
from cl_bench.real_sets import RealSets
from cl_bench.rows import ENDS, EXTRACTOR, Measurement, Metric
from cl_bench.sample_files import SampleSet
from cl_bench.seeds import isolated
from cl_bench.stream import RealData, TaskStream, held_out

if TYPE_CHECKING:
    import pandas as pd

EVALUATORS = (
    "alignment",
    "conditional-frechet",
    "diversity",
    "frechet",
    "kernel",
    "memorisation",
    "otdd",
    "prdc",
    "transport",
)
EXTRACTORS = {"image": ("pixels", "random-conv"), "vector": ("identity",)}
LEAST = 6  # samples of a class of the first set: two for each third


def compare_sets(
    real: SampleSet,
    fake: SampleSet,
    evaluators: tuple[str, ...] | None = None,
    extractors: tuple[str, ...] | None = None,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    ci: bool = False,
) -> pd.DataFrame:
    """A row per metric and class: extractor, title, metric, class (None for all), value, ideal (what real
    data score), better ("higher", "lower" or ""), n a side.

    evaluators, extractors: by name; None for all that fit. Raises UserError for sets that do not go together.
    """
    import pandas as pd

    progress = progress or Progress(quiet=True)
    judges = [cls() for cls in chosen_evaluators(evaluators or EVALUATORS)]
    unfit = next((judge for judge in judges if judge.needs - {"samples", "features"}), None)
    if unfit is not None:
        raise UserError(f"evaluator {unfit.name!r} judges predictions, and here are samples alone")
    classes = chosen_extractors(
        extractors or EXTRACTORS.get(real.modality), [type(judge) for judge in judges]
    )
    stream = _stream(real, fake)
    sets = RealSets(stream)
    fitted = []
    for cls in classes:
        extractor = cls(stream.spec, torch.device(device))
        extractor.fit(sets, progress)
        fitted.append(extractor)
    samples = fake.named(real.class_names, "the second set").samples
    sets.counts = {c: min(n, samples.counts().get(c, n)) for c, n in sets.counts.items()}
    with tempfile.TemporaryDirectory() as folder:
        evidence = Evidence(
            stream,
            0,
            _nothing,
            _nothing,
            lambda: None,
            _nothing,
            samples,
            RealFeatures(stream, sets, progress),
            tuple(fitted),
            [],
            Path(folder),
            torch.device(device),
            progress,
            Intervals(ci),
        )
        found = list(_measured(judges, evidence, progress))
    defined = {
        named(cls, name): (metric, cls.name if EXTRACTOR in name else None)
        for cls in classes
        for judge in judges
        for name, metric in judge.metrics.items()
    }
    return pd.DataFrame(_rows(found, defined, real.class_names, ci))


def _stream(real: SampleSet, fake: SampleSet) -> TaskStream:
    shapes = tuple(real.samples.x.shape[1:]), tuple(fake.samples.x.shape[1:])
    if real.modality != fake.modality or shapes[0] != shapes[1]:
        raise UserError(
            f"the sets do not go together: {real.modality} {shapes[0]} and {fake.modality} {shapes[1]}"
        )
    few = next((c for c, n in sorted(real.samples.counts().items()) if n < LEAST), None)
    if few is not None:
        raise UserError(f"class {real.class_names[few]!r} of the first set has fewer than {LEAST} samples")
    train, test = held_out(real.samples, 1 / 3, "sets")
    data = RealData(real.modality, real.class_names, train, test)
    return TaskStream("sets", 1, data, [range(len(real.class_names))], None, 0.0, generations=1)


def _nothing(*_: Any) -> Any:
    return None


def _measured(judges: list[Any], evidence: Evidence, progress: Progress) -> Iterator[Measurement]:
    for judge in judges:
        with isolated(0, "evaluate", judge.name), progress.phase(judge.name):
            yield from judge.evaluate(evidence)


def _rows(
    found: list[Measurement],
    defined: dict[str, tuple[Metric, str | None]],
    class_names: tuple[str, ...],
    ci: bool,
) -> Iterator[dict[str, Any]]:
    ideals = {}
    for m in found:
        base, _, word = m.metric.rpartition(":")
        if word in ("floor", "real"):
            ideals[base, m.on_task, m.class_] = m.value
    for m in found:
        known = m.metric in defined and not m.metric.endswith((":floor", ":real"))
        # One group has all classes: what is said of it is said of all.
        if not known or (m.on_task is not None and m.class_ is None):
            continue
        metric, extractor = defined[m.metric]
        better = {None: "", True: "higher", False: "lower"}[metric.higher_is_better]
        yield {
            "extractor": extractor,
            "title": metric.title,
            "metric": m.metric,
            "class": None if m.class_ is None else class_names[m.class_],
            "value": m.value,
            **(dict(zip(ENDS, m.interval or (None, None), strict=True)) if ci else {}),
            "ideal": ideals.get((m.metric, m.on_task, m.class_)),
            "better": better,
            "n": m.n,
        }
