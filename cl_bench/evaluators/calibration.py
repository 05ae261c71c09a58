"""Whether the classifier's confidence is its accuracy, and what it recalls of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
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
            yield Measurement("ece_class_il", expected_calibration_error(found, y), len(test), i)
            probabilities.append(found)
            labels.append(y)
        everything, y = np.concatenate(probabilities), np.concatenate(labels)
        yield Measurement("ece_class_il", expected_calibration_error(everything, y), len(y))
