"""Classification accuracy score: train on synthetic data, test on real data.

S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models", 2019. Budget, number
of samples per class and seed are those of the same classifier trained on real data, reported beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.classifier import Classifier
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.evaluators.accuracy import accuracy
from cl_bench.rows import Measurement, Metric
from cl_bench.samples import concat
from cl_bench.seeds import isolated


@register_evaluator("cas")
class CAS(Evaluator):
    """Train-on-synthetic, test-on-real accuracy over the seen classes, beside train-on-real."""

    needs = frozenset({"samples"})
    metrics: ClassVar[dict[str, Metric]] = {
        "cas": Metric("CAS", True, "train on synthetic, test on real (Ravuri and Vinyals 2019)"),
        "cas:real": Metric("CAS real", None, "the same classifier and budget trained on real data"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        assert evidence.samples is not None
        stream = evidence.stream
        real = concat(stream.tasks[i].train for i in evidence.groups)
        tests = {i: stream.test[i] for i in evidence.groups}
        everything = concat(tests.values())
        for metric, train in (("cas", evidence.samples), ("cas:real", real)):
            with isolated(0, "cas"):
                probe = Classifier(stream.spec, evidence.device)
                probe.fit(train, evidence.progress, f"{metric} classifier")
            value = accuracy(probe.predict(everything.x), everything.y, evidence.seen)
            yield Measurement(metric, value, len(everything))
            for i, test in tests.items():
                value = accuracy(probe.predict(test.x), test.y, evidence.seen)
                yield Measurement(metric, value, len(test), on_task=i)
