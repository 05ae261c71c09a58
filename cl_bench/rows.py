"""Rows: the long form in which every number is written, one a row."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One number as an evaluator yields it.

    on_task: the task it is about, None for all classes seen. class_: the class, None for all of on_task.
    n: samples it rests on (of each side, for a distance). value: None where it is undefined.
    """

    metric: str
    value: float | None
    n: int
    on_task: int | None = None
    class_: int | None = None


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
        return {key.rstrip("_"): value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Raises KeyError or TypeError when `values` is not a row."""
        rest = dict(values)
        return cls(class_=rest.pop("class"), **rest)


@dataclass(frozen=True)
class Metric:
    """What a metric is: shown in reports, stored with each run.

    title: column heading. higher_is_better: None where there is no good direction. doc: one line with
    definition and source.
    """

    title: str
    higher_is_better: bool | None
    doc: str
