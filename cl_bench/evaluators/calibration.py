"""Whether the classifier's confidence is its accuracy, and what it recalls of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics.calibration import expected_calibration_error, from_logits, per_class_recall
from cl_bench.rows import Measurement, Metric


@register_evaluator("calibration")
class Calibration(Evaluator):
    """Expected calibration error over the classes seen, and recall of each class, class-incremental."""

    needs = frozenset({"predictions"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        "ece_class_il": Metric(
            "ECE class-IL",
            False,
            "expected calibration error, 15 bins, among all classes seen (Guo et al. 2017)",
            "subsampling",
        ),
        "recall_class_il": Metric("recall class-IL", True, "share of a class's test samples that are right"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        choices = torch.tensor(sorted(evidence.seen))
        place = torch.full((evidence.stream.spec.num_classes,), -1)
        place[choices] = torch.arange(len(choices))
        probabilities, labels = [], []
        for i in evidence.groups:
            test = evidence.stream.test[i]
            found = from_logits(evidence.predictions(i)[:, choices].numpy())
            y = place[test.y].numpy()
            recall = per_class_recall(found.argmax(1), y, len(choices))
            for c in evidence.stream.groups[i]:
                yield Measurement("recall_class_il", recall[place[c]], int((test.y == c).sum()), i, c)
            yield _ece(evidence, Features(found, y), i)
            probabilities.append(found)
            labels.append(y)
        yield _ece(evidence, Features(np.concatenate(probabilities), np.concatenate(labels)))


def _ece(evidence: Evidence, told: Features, on_task: int | None = None) -> Measurement:
    """Of probabilities and labels. By subsampling: rows drawn twice make gaps look larger."""

    def ece(told: Features) -> dict[str, float]:
        return {"ece": expected_calibration_error(told.x, told.y)}

    found = ece(told)
    ends = evidence.intervals.of_sets(ece, found, told).get("ece")
    return Measurement("ece_class_il", found["ece"], len(told), on_task, interval=ends)
