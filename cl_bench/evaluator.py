"""The evaluator contract, and the evidence that evaluators share: each part computed once per task."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from cl_bench.extractor import Extractor
from cl_bench.features import Features
from cl_bench.intervals import Intervals
from cl_bench.law import Law
from cl_bench.progress import Progress
from cl_bench.real_features import Classes, Distances, RealFeatures
from cl_bench.rows import ENDS, EXTRACTOR, Ends, Measurement, Metric, Row
from cl_bench.samples import Samples
from cl_bench.stream import Modality, TaskStream
from cl_bench.task_word import task_word

Need = Literal["predictions", "samples", "features", "classes", "law"]
Side = Literal["real", "floor", "replay"]


class Evidence:
    """What there is to judge after one task.

    after_task: the last task learned, −1 before the first. seen: classes learned, in stream order.
    samples: synthetic samples of the seen classes, as many per class as it has training samples; None when
    the strategy is not generative. extractors: what features are taken by, fitted; none where no evaluator
    asked for features. history: the rows written before this task. folder: where pictures go. intervals:
    those of the numbers over all seen classes or one task, if asked for.
    """

    def __init__(
        self,
        stream: TaskStream,
        after_task: int,
        predictions: Callable[[int], Tensor],
        own: Callable[[Tensor], Tensor | None],
        law: Callable[[], Law | None],
        nats: Callable[[int, Tensor], Tensor | None],
        samples: Samples | None,
        real: RealFeatures,
        extractors: tuple[Extractor, ...],
        history: list[Row],
        folder: Path,
        device: torch.device,
        progress: Progress,
        intervals: Intervals,
    ) -> None:
        self.stream, self.after_task, self.samples = stream, after_task, samples
        self._predictions, self._own, self._law, self._nats = predictions, own, law, nats
        self._real, self._extractors = real, extractors
        self._features: dict[tuple[str, Side], Features] = {}
        self.history, self.folder, self.device, self.progress = history, folder, device, progress
        self.intervals = intervals
        self.seen = stream.seen(after_task)

    @property
    def when(self) -> str:
        """`after task 3`, or in a self-consuming loop `after generation 3`."""
        return f"after {task_word(self.stream.spec.stationary)} {self.after_task + 1}"

    @property
    def groups(self) -> range:
        """The groups of classes learned so far: the tasks, or the one group that all tasks repeat."""
        return self.stream.groups_seen(self.after_task)

    def predictions(self, on_task: int) -> Tensor:
        """Logits (n, num_classes) on the test set of group `on_task`, whether learned yet or not."""
        return self._predictions(on_task)

    def law(self) -> Law | None:
        """The law that the strategy's samples come from, where that is known."""
        return self._law()

    def nats(self, x: Tensor, after_task: int | None = None) -> Tensor | None:
        """Negative log-likelihood of each of data x (n, …), (n,) float64, under the strategy as it was after
        `after_task`, an earlier task or, by default, this one. None where it knows none."""
        return self._nats(self.after_task if after_task is None else after_task, x)

    @property
    def extractors(self) -> tuple[Extractor, ...]:
        """What features are taken by, in the order asked for: one at least where an evaluator needs them."""
        if not self._extractors:
            raise RuntimeError('an evaluator that reads features must declare needs = {"features", …}')
        return self._extractors

    @cached_property
    def sides(self) -> dict[Side, Samples]:
        """Samples of the seen classes, equally many of a class on each side: "real" test data, "replay", and
        "floor", other real data from which extractors took no more than their unit."""
        if self.samples is None:
            raise RuntimeError('an evaluator that reads replay must declare needs = {"samples", …}')
        counts = {c: self._real.sets.counts[c] for c in self.seen}
        return {
            "real": self._real.samples("real", self.seen),
            "floor": self._real.samples("floor", self.seen),
            "replay": self.samples.first_per_class(counts),
        }

    @property
    def most(self) -> int:
        """Samples on each side once all classes of the stream are seen."""
        return sum(self._real.sets.counts.values())

    def features(self, side: Side, extractor: Extractor | None = None) -> Features:
        """Features of a side's samples (see `sides`); by the first extractor unless told."""
        extractor = extractor or self.extractors[0]
        found = self._features.get((extractor.name, side))
        if found is None:
            if side == "replay":
                found = Features.by(extractor, self.sides[side])
            else:
                found = self._real.features(side, extractor, self.seen)
            self._features[extractor.name, side] = found
        return found

    def training_features(self, extractor: Extractor) -> Features:
        """Features of all real training data of the seen classes, those of the floor among them."""
        return self._real.features("train", extractor, self.seen)

    def own_features(self, side: Side) -> Features | None:
        """The same samples in the strategy's own network, as it is now; None where it does not tell."""
        samples = self.sides[side]
        found = self._own(samples.x)
        return None if found is None else Features(found.double().numpy(), samples.y.numpy(), self.device)

    def scopes(self) -> Iterator[tuple[int | None, int | None, tuple[int, ...]]]:
        """What distances are taken over: (on_task, class, classes) for all seen, each group, each class."""
        yield None, None, self.seen
        for i in self.groups:
            classes = self.stream.groups[i]
            yield i, None, classes
            for c in classes:
                yield i, c, (c,)

    def compare(self, metric: str, distance: Callable[[Features, Features], float]) -> Iterator[Measurement]:
        """Distance of real to replay in every scope and by every extractor, as `metric:extractor`, and that
        of real to real, as `metric:extractor:floor`; undefined where a side has lost all its samples."""

        @functools.wraps(distance)
        def distances(real: Features, other: Features) -> dict[str, float]:
            return {metric: distance(real, other) if len(real) and len(other) else float("nan")}

        return self.compare_all(distances, key=metric)

    def compare_all(
        self, distances: Distances, by_class: bool = True, key: str = ""
    ) -> Iterator[Measurement]:
        """`compare` for metrics that are computed together, which must give NaN for what is undefined, and
        depend on nothing but the two sets. by_class: whether single classes are scopes. key: what tells two
        calls with one function apart."""
        scopes = [scope for scope in self.scopes() if by_class or scope[1] is None]
        for extractor in self.extractors:
            floors = self._real.floors(distances, extractor, [classes for *_, classes in scopes], key)
            # Where there is one group of classes, it is all classes, too: measured once.
            known: dict[Classes, tuple[Mapping[str, float], dict[str, Ends]]] = {}
            for on_task, class_, classes in scopes:
                real = self.features("real", extractor).of(classes)
                if classes not in known:
                    replay = self.features("replay", extractor).of(classes)
                    found, ends = distances(real, replay), {}
                    if class_ is None:
                        ends = self.intervals.of_sets(distances, found, real, replay)
                    known[classes] = found, ends
                found, ends = known[classes]
                for metric, value in found.items():
                    interval = ends.get(metric) if class_ is None else None
                    yield Measurement(extractor.metric(metric), value, len(real), on_task, class_, interval)
                for metric, value in floors[classes].items():
                    yield Measurement(f"{extractor.metric(metric)}:floor", value, len(real), on_task, class_)


class Evaluator(ABC):
    """Turns evidence into measurements.

    needs: what it reads: "predictions"; "samples" of a generative strategy; "features" of them; "classes",
    two at least, as predictions do; the known "law" of the data. Where that is not to be had it is left out.
    modalities: of data that it can judge.
    replicated: whether it also judges streams of several replicas. before_first: whether it also judges the
    untrained strategy (after_task −1). default: whether it judges runs whose evaluators nobody named.
    metrics: what it yields; "{extractor}" in name and text stands for each extractor. What has an interval
    (see `evidence.intervals`) says in its Metric how that is made.
    """

    name: ClassVar[str] = ""
    needs: ClassVar[frozenset[Need]] = frozenset()
    modalities: ClassVar[tuple[Modality, ...]] = ("image", "vector", "text")
    before_first: ClassVar[bool] = False
    default: ClassVar[bool] = True
    replicated: ClassVar[bool] = False
    metrics: ClassVar[dict[str, Metric]] = {}

    @classmethod
    def definitions(cls, extractors: Sequence[type[Extractor]], ci: bool = False) -> dict[str, Metric]:
        """`metrics` with the names of `extractors` filled in. ci: with the ends of their intervals, too."""
        found: dict[str, Metric] = {}
        for name, metric in cls.metrics.items():
            if EXTRACTOR not in name:
                found[name] = metric
                continue
            for extractor in extractors:
                # Titles say which where there is more to say than "the usual one".
                title = metric.title
                base = name.partition(":")[0]
                if base in extractor.known_as:
                    usual = cls.metrics[f"{base}:{EXTRACTOR}"].title
                    title = title.replace(usual, extractor.known_as[base].upper())
                elif extractor is not extractors[0]:
                    title = f"{title} ({extractor.name})"
                doc = metric.doc.replace(EXTRACTOR, extractor.title)
                found[named(extractor, name)] = replace(metric, title=title, doc=doc)
        ends = {
            f"{name}:{word}": Metric(
                f"{metric.title} {word}", None, f"end of its 95 % confidence interval, by {metric.interval}"
            )
            for name, metric in found.items()
            for word in ENDS
            if ci and metric.interval
        }
        return found | ends

    @classmethod
    def fits(cls, stream: TaskStream, generative: bool) -> bool:
        """Whether there is what it needs. generative: whether the strategy is."""
        spec = stream.spec
        return (
            (generative or "samples" not in cls.needs)
            and (spec.num_classes > 1 or not cls.needs & {"predictions", "classes"})
            and (spec.modality != "text" or "features" not in cls.needs)
            and (stream.law is not None or "law" not in cls.needs)
            and spec.modality in cls.modalities
            and (spec.replicas == 1 or cls.replicated)
        )

    @abstractmethod
    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        """Yield each number as soon as it is known; pictures go to `evidence.folder`."""


def named(extractor: type[Extractor], name: str) -> str:
    """The metric "otdd:{extractor}:floor", say, in the features of `extractor`."""
    base, sign, word = name.partition(f":{EXTRACTOR}")
    return extractor.metric(base) + word if sign else name
