"""OTDD between real and replayed data, in features (see metrics/otdd.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.metrics.otdd import EMD_LIMIT, Outer, otdd
from cl_bench.rows import Measurement, Metric


@register_evaluator("otdd")
class OTDD(Evaluator):
    """Optimal transport dataset distance, real vs replay, per task and class, beside real vs real."""

    needs = frozenset({"samples", "features"})
    metrics: ClassVar[dict[str, Metric]] = {
        "otdd:{extractor}": Metric(
            "OTDD",
            False,
            "real vs replay (Alvarez-Melis and Fusi 2020), features: {extractor}",
            "subsampling",
        ),
        "otdd:{extractor}:floor": Metric("OTDD floor", None, "real vs real at the same n"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        # One solver for the whole stream: values of two do not compare.
        outer: Outer = "emd" if evidence.most <= EMD_LIMIT else "sinkhorn"
        return evidence.compare(
            "otdd", lambda a, b: otdd(a.on_device, a.y, b.on_device, b.y, outer=outer).value
        )
