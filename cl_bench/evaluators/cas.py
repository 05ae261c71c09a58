"""Classification accuracy score: train on synthetic data, test on real data.

S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models", 2019. Number of
samples per class, training steps and seed are those of the same classifier trained on real data, reported
beside it. Training is 30 passes over the set, in batches of 128, and at least 100 steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.classifier import BATCH, Classifier
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.evaluators.accuracy import hits
from cl_bench.rows import Measurement, Metric
from cl_bench.samples import concat
from cl_bench.seeds import isolated
from cl_bench.trained_once import train_once

PASSES, LEAST_STEPS = 30, 100


@register_evaluator("cas")
class CAS(Evaluator):
    """Train-on-synthetic, test-on-real accuracy over the seen classes, beside train-on-real."""

    needs = frozenset({"samples", "classes"})
    metrics: ClassVar[dict[str, Metric]] = {
        "cas": Metric("CAS", True, "train on synthetic, test on real (Ravuri and Vinyals 2019)", "bootstrap"),
        "cas:real": Metric("CAS real", None, "the same classifier and budget trained on real data"),
        "cas_ratio": Metric("CAS / real", True, "CAS as a share of what real data give; 1: nothing is lost"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        assert evidence.samples is not None
        stream = evidence.stream
        real = concat(stream.tasks[i].train for i in evidence.groups)
        tests = {i: stream.test[i] for i in evidence.groups}
        everything = concat(tests.values())
        steps = max(math.ceil(PASSES * len(real) / BATCH), LEAST_STEPS)
        synthetic: dict[int | None, float] = {}
        for metric, train in (("cas", evidence.samples), ("cas:real", real)):
            with isolated(0, "cas"):
                probe = Classifier(stream.spec, evidence.device)
                fit = partial(probe.fit, train, evidence.progress, f"{metric} classifier", steps)
                if train is real:
                    made_of = (stream.spec, evidence.device, steps, real)
                    train_once(probe, fit, "probes", made_of, evidence.progress)
                else:
                    fit()
            for on_task, test in [(None, everything), *tests.items()]:
                right = hits(probe.predict(test.x), test.y, evidence.seen)
                value = right.double().mean().item()
                ends = None if train is real else evidence.intervals.of_shares(right.numpy())
                yield Measurement(metric, value, len(test), on_task, interval=ends)
                if train is not real:
                    synthetic[on_task] = value
                elif value > 0:
                    yield Measurement("cas_ratio", synthetic[on_task] / value, len(test), on_task)
