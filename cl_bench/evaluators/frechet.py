"""Fréchet distance between real and replayed data, in features.

Not FID: that name belongs to Inception-v3's pool3 features. See metrics/gaussian.py for the formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.metrics.gaussian import fit, squared_distance
from cl_bench.rows import Measurement, Metric


@register_evaluator("frechet")
class Frechet(Evaluator):
    """Fréchet distance, real vs replay, per task and class, beside real vs real."""

    needs = frozenset({"samples", "features"})
    metrics: ClassVar[dict[str, Metric]] = {
        "fd:{extractor}": Metric(
            "FD", False, "Fréchet distance, real vs replay, features: {extractor}", "subsampling"
        ),
        "fd:{extractor}:floor": Metric("FD floor", None, "real vs real at the same n"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        return evidence.compare("fd", lambda a, b: squared_distance(fit(a.on_device), fit(b.on_device)))
