"""Generation depth of the replayed samples: how many models stand between a sample and real data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement, Metric


@register_evaluator("depth")
class Depth(Evaluator):
    """Mean generation depth of the synthetic samples (1 = made by a model that saw the class real)."""

    needs = frozenset({"samples"})
    replicated = True
    metrics: ClassVar[dict[str, Metric]] = {
        "generation_depth": Metric("depth", None, "mean generation depth of the synthetic samples"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        assert evidence.samples is not None
        for on_task, class_, classes in evidence.scopes():
            depth = evidence.samples.of(classes).depth
            if class_ is None and len(depth):
                yield Measurement("generation_depth", depth.double().mean().item(), len(depth), on_task)
