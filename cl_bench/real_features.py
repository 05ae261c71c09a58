"""Features of the real data, and their distances to other real data: no task, strategy or seed changes them.

All classes of a part go through an extractor together when it is first asked for; evaluators get the rows of
the classes seen. Features and floors stay in memory until the run ends, and for other runs on the same data
in the cache folders `features` and `floors`, by data and extractor. After each task only the replay is new.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor

from cl_bench.config import definition, engine, source
from cl_bench.extractor import Extractor
from cl_bench.features import Features
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.samples import Samples, concat
from cl_bench.state import State
from cl_bench.stream import TaskStream
from cl_bench.trained_once import made_once

Part = Literal["real", "floor", "train"]
Classes = tuple[int, ...]
Distances = Callable[[Features, Features], Mapping[str, float]]


class RealFeatures:
    """The parts of a stream's real data in the features of fitted extractors.

    Parts: "real", the test data, and "floor", other real data from which extractors took no more than their
    unit, as many of each class as `sets.counts` says, classes ascending; "train", all training data in their
    own order.
    """

    def __init__(self, stream: TaskStream, sets: RealSets, progress: Progress) -> None:
        self.stream, self.sets, self.progress = stream, sets, progress
        self._samples: dict[Part, Samples] = {}
        self._features: dict[tuple[Part, str], Tensor] = {}
        self._floors: dict[tuple[object, ...], dict[Classes, dict[str, float]]] = {}

    def samples(self, part: Part, classes: Classes) -> Samples:
        """The samples of `classes` in `part`."""
        return self._whole(part).of(classes)

    def features(self, part: Part, extractor: Extractor, classes: Classes) -> Features:
        """Their features."""
        if not extractor.kept:
            return Features.by(extractor, self.samples(part, classes))
        if (part, extractor.name) not in self._features:
            self._features[part, extractor.name] = self._once(part, extractor)
        x, y = self._features[part, extractor.name], self._whole(part).y
        rows = torch.isin(y, torch.tensor(classes))
        return Features(x[rows].double().numpy(), y[rows].numpy(), extractor.device)

    def floors(
        self, distances: Distances, extractor: Extractor, scopes: Iterable[Classes], key: str = ""
    ) -> dict[Classes, dict[str, float]]:
        """`distances` of real data to the floor over the classes of each of `scopes`. key: what tells two
        metrics with the same function apart."""
        function = inspect.unwrap(distances)
        made_by = (key, function.__module__, function.__qualname__, function.__code__.co_firstlineno)
        known = self._floors.setdefault((*made_by, extractor.name), {})
        new = sorted({*scopes} - known.keys())
        if new:
            known.update(self._measured(distances, made_by, extractor, new))
        return known

    def _measured(
        self, distances: Distances, made_by: tuple[object, ...], extractor: Extractor, scopes: list[Classes]
    ) -> dict[Classes, dict[str, float]]:
        """Floors from the cache, or measured."""

        def make() -> State:
            found = {}
            for i, classes in enumerate(scopes):
                sides = (self.features(part, extractor, classes) for part in ("real", "floor"))
                for metric, value in distances(*sides).items():
                    found[f"{i} {metric}"] = torch.tensor(value, dtype=torch.float64)
            return found

        function = inspect.unwrap(distances)
        code = (engine(), definition(function), function.__code__.co_code)
        by = (
            made_by,
            code,
            scopes,
            extractor.name,
            source(type(extractor)),
            extractor.hash(),
            extractor.device,
        )
        sets = (self._whole("real"), self._whole("floor"))
        floors: dict[Classes, dict[str, float]] = {classes: {} for classes in scopes}
        for name, value in made_once(make, "floors", (*by, *sets), self.progress).items():
            i, metric = name.split(" ", 1)
            floors[scopes[int(i)]][metric] = value.item()
        return floors

    def _whole(self, part: Part) -> Samples:
        if part not in self._samples:
            counts = self.sets.counts
            self._samples[part] = {
                "real": lambda: concat(self.stream.test).first_per_class(counts),
                "floor": lambda: self.sets.floor.first_per_class(counts),
                "train": lambda: self.stream.train,
            }[part]()
        return self._samples[part]

    def _once(self, part: Part, extractor: Extractor) -> Tensor:
        """Features of all of `part`, (n, d) float32: from the cache, or by one pass through `extractor`."""
        samples = self._whole(part)

        def make() -> State:
            with self.progress.phase(f"features of real data: {part}, {extractor.name}"):
                return {"x": extractor.features(samples.x)}

        by = (extractor.name, source(type(extractor)), extractor.hash(), extractor.device)
        return made_once(make, "features", (*by, samples), self.progress)["x"]
