"""What tasks are called where people read: in self-consuming loops, generations."""

from __future__ import annotations


def task_word(stationary: bool) -> str:
    """stationary: whether every task repeats the same classes."""
    return "generation" if stationary else "task"
