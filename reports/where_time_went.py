"""Where the time of a run went: task by task, and evaluator by evaluator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cl_bench.finished_run import Run

PARTS = ("training", "sampling", "judging")


@dataclass(frozen=True)
class Bar:
    """One line. label: task or evaluator. parts: (name, seconds, from, width), the last two in percent of the
    longest line. seconds: of the whole line."""

    label: str
    parts: tuple[tuple[str, float, float, float], ...]
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """by_task: a bar of each finished task. by_evaluator: one of each that took time, the longest first;
    empty where the run does not tell. total: seconds."""

    by_task: list[Bar]
    by_evaluator: list[Bar]
    total: float


def timeline(run: Run) -> Timeline | None:
    """Of the finished tasks; None where there are none or no time is known."""
    lines = {str(t + 1): _seconds(cost) for t, cost in enumerate(run.costs)}
    total = sum(sum(parts.values()) for parts in lines.values())
    if not total > 0:
        return None
    judges: Counter[str] = Counter()
    for cost in run.costs:
        judges.update(
            {str(name): _positive(s) for name, s in (cost.get("seconds_by_evaluator") or {}).items()}
        )
    slowest = dict(judges.most_common())
    return Timeline(
        _bars(lines), _bars({name: {"judging": s} for name, s in slowest.items() if s > 0}), total
    )


def _seconds(cost: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of a task by part. What is recorded as training holds the sampling of replay."""
    training, sampling = _positive(cost.get("seconds_training")), _positive(cost.get("seconds_sampling"))
    sampling = min(sampling, training)
    judging = _positive(cost.get("seconds_evaluation"))
    return {"training": training - sampling, "sampling": sampling, "judging": judging}


def _bars(lines: Mapping[str, Mapping[str, float]]) -> list[Bar]:
    longest = max((sum(parts.values()) for parts in lines.values()), default=0.0)
    bars = []
    for label, parts in lines.items():
        at, drawn = 0.0, []
        for name, seconds in parts.items():
            width = 100 * seconds / longest
            drawn.append((name, seconds, round(at, 3), round(width, 3)))
            at += width
        bars.append(Bar(label, tuple(drawn), sum(parts.values())))
    return bars


def _positive(value: Any) -> float:
    return max(0.0, float(value)) if isinstance(value, int | float) else 0.0
