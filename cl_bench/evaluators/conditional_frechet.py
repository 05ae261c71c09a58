"""How far replay is from real data within its classes (see metrics/conditional_frechet.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics.conditional_frechet import conditional_frechet
from cl_bench.rows import Measurement, Metric


@register_evaluator("conditional-frechet")
class ConditionalFrechet(Evaluator):
    """Fréchet distance within classes (balanced and by frequency), between classes, and of the joint law."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        "cfd:{extractor}": Metric(
            "CFD", False, "mean of the classes' Fréchet distances, features: {extractor}", "subsampling"
        ),
        "cfd:{extractor}:floor": Metric("CFD floor", None, "real vs real at the same n"),
        "cfd_weighted:{extractor}": Metric(
            "CFD weighted",
            False,
            "the same, classes by their share of real data, features: {extractor}",
            "subsampling",
        ),
        "cfd_weighted:{extractor}:floor": Metric("CFD weighted floor", None, "real vs real at the same n"),
        "cfd_between:{extractor}": Metric(
            "FD of class means",
            False,
            "Fréchet distance of the sets of class means, features: {extractor}",
            "subsampling",
        ),
        "cfd_between:{extractor}:floor": Metric("FD of class means floor", None, "real vs real"),
        "cfd_joint:{extractor}": Metric(
            "joint CFD",
            False,
            "conditional Fréchet distance given the label, features: {extractor}",
            "subsampling",
        ),
        "cfd_joint:{extractor}:floor": Metric("joint CFD floor", None, "real vs real at the same n"),
        "missing_classes": Metric("missing classes", False, "classes learned of which there are no samples"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        have = set(evidence.features("replay").y.tolist())
        missing = len(set(evidence.seen) - have)
        yield Measurement("missing_classes", missing, len(evidence.seen))
        yield from evidence.compare_all(_distances, by_class=False)


def _distances(real: Features, other: Features) -> dict[str, float]:
    if not set(real.y.tolist()) & set(other.y.tolist()):
        return dict.fromkeys(("cfd", "cfd_weighted", "cfd_between", "cfd_joint"), float("nan"))
    found = conditional_frechet(real.on_device, real.y, other.on_device, other.y)
    return {
        "cfd": found.balanced,
        "cfd_weighted": found.weighted,
        "cfd_between": found.between,
        "cfd_joint": found.joint,
    }
