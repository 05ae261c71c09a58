"""Rows: the long form in which every number is written, one a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

Ends = tuple[float, float]

# The ends of the interval of metric "m" are the metrics "m:low" and "m:high".
ENDS = ("low", "high")

# Stands in names of metrics for that of an extractor.
EXTRACTOR = "{extractor}"


@dataclass(frozen=True)
class Measurement:
    """One number as an evaluator yields it.

    on_task: the task it is about, None for all classes seen. class_: the class, None for all of on_task.
    n: samples it rests on (of each side, for a distance). value: None where it is undefined. interval: its
    95 % confidence interval; None where there is none, or nobody asked for it.
    """

    metric: str
    value: float | None
    n: int
    on_task: int | None = None
    class_: int | None = None
    interval: Ends | None = None

    def with_ends(self) -> Iterator[Measurement]:
        """Itself, and the ends of its interval as measurements of their own."""
        yield self
        for word, end in zip(ENDS, self.interval or (), strict=False):
            yield Measurement(f"{self.metric}:{word}", end, self.n, self.on_task, self.class_)


@dataclass(frozen=True)
class Row:
    """A measurement in its run.

    after_task: the last task learned, −1 before the first. seconds: what computing it took; the only
    field that two equal runs do not share.
    """

    run: str
    benchmark: str
    strategy: str
    seed: int
    after_task: int
    on_task: int | None
    class_: int | None
    metric: str
    value: float | None
    n: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The row as written: `class_` is the column `class`."""
        return {key: getattr(self, name) for key, name in KEYS.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Raises KeyError or TypeError when `values` is not a row."""
        rest = dict(values)
        return cls(class_=rest.pop("class"), **rest)


# The columns of a row as written, and the fields they are; `class` is a word of the language.
KEYS = {field.name.rstrip("_"): field.name for field in fields(Row)}


@dataclass(frozen=True)
class Metric:
    """What a metric is: shown in reports, stored with each run.

    title: column heading. higher_is_better: None where there is no good direction. doc: one line with
    definition and source. interval: how its interval is made where intervals are asked for; "" for none.
    """

    title: str
    higher_is_better: bool | None
    doc: str
    interval: Literal["", "subsampling", "bootstrap"] = ""
