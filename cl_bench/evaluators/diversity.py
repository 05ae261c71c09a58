"""How many different samples replay amounts to (see metrics/vendi.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence, Side
from cl_bench.features import Features
from cl_bench.metrics.vendi import vendi
from cl_bench.rows import Ends, Measurement, Metric

SIDES: tuple[tuple[str, Side], ...] = (("", "replay"), (":real", "real"))


@register_evaluator("diversity")
class Diversity(Evaluator):
    """Vendi score of replay, over all classes and within each, beside that of real data at the same n."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        "vendi:{extractor}": Metric(
            "Vendi",
            None,
            "effective number of different samples (Friedman and Dieng 2023), features: {extractor}",
            "subsampling",
        ),
        "vendi:{extractor}:real": Metric("Vendi real", None, "of as many real samples"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        for extractor in evidence.extractors:
            for on_task, class_, classes in evidence.scopes():
                for word, side in SIDES:
                    some = evidence.features(side, extractor).of(classes)
                    found = _vendi(some) if len(some) else {}
                    ends: dict[str, Ends] = {}
                    if class_ is None and side == "replay":
                        ends = evidence.intervals.of_sets(_vendi, found, some)
                    name, value = f"vendi:{extractor.name}{word}", found.get("vendi")
                    yield Measurement(name, value, len(some), on_task, class_, ends.get("vendi"))


def _vendi(some: Features) -> dict[str, float]:
    return {"vendi": vendi(some.on_device)}
