"""Class-IL and task-IL accuracy differ as they should."""

from __future__ import annotations

import torch

from cl_bench.evaluators.accuracy import accuracy


def test_argmax_is_over_the_given_classes_only() -> None:
    logits = torch.tensor([[0.0, 1, 9, 2], [5, 1, 9, 2], [0, 1, 0, 2]])
    y = torch.tensor([1, 1, 3])
    assert accuracy(logits, y, (0, 1, 2, 3)) == 1 / 3
    assert accuracy(logits, y, (0, 1, 3)) == 1 / 3
    assert accuracy(logits, y, (1,)) == 2 / 3
    assert accuracy(logits, torch.tensor([1, 0, 1]), (1, 0)) == 1.0


def test_naive_forgets_in_class_il_and_not_in_task_il(fast_run) -> None:
    rows = fast_run(
        "naive", generator="none", limit=None, evaluators=("accuracy",), classifier_steps=200
    ).rows
    last = rows[rows.after_task == 4].set_index("metric").value
    assert abs(last["average_accuracy_class_il"] - 0.2) < 0.02
    assert last["average_accuracy_task_il"] > 0.7
    assert last["forgetting_class_il"] > 0.9
    first = rows[(rows.after_task == -1)]
    assert set(first.metric) == {"accuracy_task_il"}
    assert len(first) == 5
