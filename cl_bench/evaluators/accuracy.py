"""Classification accuracy on every task, class-incremental and task-incremental, and its summaries.

class_il: arg-max over all classes seen so far (G. van de Ven, A. Tolias 2019, "Three scenarios"). task_il:
arg-max over the classes of the sample's own task, the easier, task-aware figure.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.metrics import continual
from cl_bench.rows import Measurement, Metric

SETTINGS = ("class_il", "task_il")
TITLES = {"class_il": "class-IL", "task_il": "task-IL"}


def _metrics() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for setting in SETTINGS:
        title = TITLES[setting]
        found |= {
            f"accuracy_{setting}": Metric(
                f"accuracy {title}", True, "share of a task's test set that is right", "bootstrap"
            ),
            f"average_accuracy_{setting}": Metric(
                f"ACC {title}",
                True,
                "mean accuracy over the tasks seen (Lopez-Paz and Ranzato 2017)",
                "bootstrap",
            ),
            f"average_incremental_accuracy_{setting}": Metric(
                f"AIA {title}", True, "mean of ACC after each task so far (Rebuffi et al. 2017)"
            ),
            f"backward_transfer_{setting}": Metric(
                f"BWT {title}", True, "accuracy now minus just after learning (Lopez-Paz and Ranzato 2017)"
            ),
            f"forgetting_{setting}": Metric(
                f"forgetting {title}", False, "best accuracy before minus accuracy now (Chaudhry et al. 2018)"
            ),
        }
    found["forward_transfer_task_il"] = Metric(
        "FWT task-IL",
        True,
        "accuracy just before learning a task minus the untrained network's (Lopez-Paz and Ranzato 2017)",
    )
    return found


@register_evaluator("accuracy")
class Accuracy(Evaluator):
    """Accuracy matrix (class-IL and task-IL), ACC, average incremental accuracy, BWT, FWT, forgetting."""

    needs = frozenset({"predictions"})
    before_first = True
    metrics = _metrics()

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        stream, t = evidence.stream, evidence.after_task
        found: dict[tuple[str, int, int], float] = {
            (row.metric, row.after_task, row.on_task): row.value
            for row in evidence.history
            if row.metric in ("accuracy_class_il", "accuracy_task_il")
            and row.on_task is not None
            and row.value is not None
        }
        now: dict[str, list[np.ndarray]] = {setting: [] for setting in SETTINGS}
        for i, classes in enumerate(stream.groups):
            test, logits = stream.test[i], evidence.predictions(i)
            allowed = {"class_il": evidence.seen, "task_il": classes}
            # A class-IL figure on a task not learned yet would be 0 by definition; task-IL feeds FWT.
            for setting in SETTINGS if i <= t else ("task_il",) if t == -1 or i == t + 1 else ():
                right = hits(logits, test.y, allowed[setting])
                now[setting].append(right.numpy())
                value = right.double().mean().item()
                found[f"accuracy_{setting}", t, i] = value
                ends = evidence.intervals.of_shares(right.numpy())
                yield Measurement(f"accuracy_{setting}", value, len(test), on_task=i, interval=ends)
        if t < 0:
            return
        learned = len(evidence.groups)
        n = sum(len(stream.test[i]) for i in evidence.groups)
        for setting in SETTINGS:
            matrix = np.full((t + 1, learned), np.nan)
            for s in range(t + 1):
                for i in stream.groups_seen(s):
                    matrix[s, i] = found[f"accuracy_{setting}", s, i]
            summaries = {
                "average_accuracy": continual.average_accuracy(matrix),
                "average_incremental_accuracy": continual.average_incremental_accuracy(matrix),
                "backward_transfer": continual.backward_transfer(matrix),
                "forgetting": continual.forgetting(matrix),
            }
            # The others rest on earlier predictions, too, of which only accuracies are left.
            of_mean = evidence.intervals.of_shares(*now[setting][:learned])
            for name, summary in summaries.items():
                if summary is not None:
                    ends = of_mean if name == "average_accuracy" else None
                    yield Measurement(f"{name}_{setting}", summary, n, interval=ends)
        before = np.array([found["accuracy_task_il", i - 1, i] for i in range(1, learned)])
        untrained = np.array([found["accuracy_task_il", -1, i] for i in range(1, learned)])
        transfer = continual.forward_transfer(before, untrained)
        if transfer is not None:
            yield Measurement("forward_transfer_task_il", transfer, n)


def hits(logits: torch.Tensor, y: torch.Tensor, classes: tuple[int, ...]) -> torch.Tensor:
    """Whether the arg-max over `classes` is y: logits (n, num_classes), y (n,) to (n,) bool."""
    choices = torch.tensor(sorted(classes))
    return choices[logits[:, choices].argmax(1)] == y


def accuracy(logits: torch.Tensor, y: torch.Tensor, classes: tuple[int, ...]) -> float:
    """Share of y that the arg-max over `classes` hits: logits (n, num_classes), y (n,)."""
    return hits(logits, y, classes).double().mean().item()
