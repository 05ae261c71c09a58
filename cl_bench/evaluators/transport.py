"""Wasserstein distances, without labels and with (metrics/wasserstein.py, sliced_otdd.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics.sliced_otdd import sliced_otdd
from cl_bench.metrics.wasserstein import sliced_squared_w2, squared_w2
from cl_bench.rows import Measurement, Metric

NAMES = {
    "w2": ("W₂²", "squared 2-Wasserstein distance of the samples, exact"),
    "sliced_w2": ("sliced W₂²", "mean squared 2-Wasserstein distance along 1,000 directions"),
    "sliced_otdd": ("s-OTDD", "sliced optimal transport dataset distance (arXiv 2501.18901)"),
}


@register_evaluator("transport")
class Transport(Evaluator):
    """Exact and sliced 2-Wasserstein distance, and sliced OTDD, per task, beside real vs real."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        f"{name}:{{extractor}}{word}": Metric(
            f"{title} floor" if word else title,
            None if word else False,
            "real vs real" if word else f"{text}; {{extractor}}",
            "" if word else "subsampling",
        )
        for name, (title, text) in NAMES.items()
        for word in ("", ":floor")
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        return evidence.compare_all(_distances, by_class=False)


def _distances(real: Features, other: Features) -> dict[str, float]:
    if not len(real) or not len(other):
        return dict.fromkeys(NAMES, float("nan"))
    x, y = real.on_device, other.on_device
    return {
        "w2": squared_w2(x, y),
        "sliced_w2": sliced_squared_w2(x, y),
        "sliced_otdd": sliced_otdd(x, real.y, y, other.y),
    }
