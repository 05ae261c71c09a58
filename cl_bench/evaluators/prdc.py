"""Fidelity and diversity by nearest neighbours (see metrics/neighbours.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics.neighbours import neighbours
from cl_bench.rows import Measurement, Metric

K_BALLS, K_DENSITY = 3, 5
SOURCES = {
    "precision": "share of replay within real neighbourhoods, k = 3 (Kynkäänniemi et al. 2019)",
    "recall": "share of real data within replay's neighbourhoods, k = 3 (Kynkäänniemi et al. 2019)",
    "density": "how many real neighbourhoods hold a replayed sample, over k = 5 (Naeem et al. 2020)",
    "coverage": "share of real neighbourhoods with a replayed sample, k = 5 (Naeem et al. 2020)",
}


@register_evaluator("prdc")
class PRDC(Evaluator):
    """Precision, recall, density and coverage of replay, per task and class, beside those of real data."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        f"{name}:{{extractor}}{word}": Metric(
            f"{name}{word.replace(':', ' ')}",
            None if word else True,
            "real vs real" if word else f"{text}; {{extractor}}",
            "" if word else "subsampling",
        )
        for name, text in SOURCES.items()
        for word in ("", ":floor")
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        return evidence.compare_all(_shares)


def _shares(real: Features, other: Features) -> dict[str, float]:
    if min(len(real), len(other)) <= K_DENSITY:
        return dict.fromkeys(SOURCES, float("nan"))
    return asdict(neighbours(real.on_device, other.on_device, K_BALLS, K_DENSITY))
