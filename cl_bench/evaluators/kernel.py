"""Kernel distances of real to replay: KID's cubic kernel and the RBF kernel (see metrics/kernel.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics.kernel import kid_full, mmd_rbf
from cl_bench.rows import Measurement, Metric

LEAST = 3  # samples of a side, for an unbiased estimate worth its name


@register_evaluator("kernel")
class Kernel(Evaluator):
    """KID's kernel distance and MMD with an RBF kernel, unbiased: both may be negative."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        "kid:{extractor}": Metric(
            "KID",
            False,
            "squared MMD, kernel (x·y/d + 1)³ (Bińkowski et al. 2018), features: {extractor}",
            "subsampling",
        ),
        "kid:{extractor}:floor": Metric("KID floor", None, "real vs real at the same n"),
        "mmd:{extractor}": Metric(
            "MMD²",
            False,
            "squared MMD, RBF kernel of the real median distance, features: {extractor}",
            "subsampling",
        ),
        "mmd:{extractor}:floor": Metric("MMD² floor", None, "real vs real at the same n"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        return evidence.compare_all(_distances)


def _distances(real: Features, other: Features) -> dict[str, float]:
    if min(len(real), len(other)) < LEAST:
        return dict.fromkeys(("kid", "mmd"), float("nan"))
    x, y = real.on_device, other.on_device
    return {"kid": kid_full(x, y), "mmd": mmd_rbf(x, y)}
