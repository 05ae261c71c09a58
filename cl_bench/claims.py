"""What papers claim, as data: a quantity of finished runs and what it should be.

verdicts.py computes whether it is; the rules that a claim may name are told there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cl_bench import closed_forms
from cl_bench.errors import unknown

Over = Literal["last", "mean", "min", "max", "slope"]


@dataclass(frozen=True)
class Quantity:
    """One number per seed, made from rows.

    metric: as in the rows. run: label of the runs; left out where the expectation is an order of labels.
    over: the value after the `last` task or after task number 1, 2, …; or over all tasks the `mean`, `min`,
    `max` or, by least squares and per task, the `slope`. task: about all classes seen so far, or about those
    of one task, from 1. per: a metric to divide by, task for task, as the floor. minus: a label whose
    quantity is subtracted, seed by seed.
    """

    metric: str
    run: str = ""
    over: Over | int = "last"
    task: Literal["all"] | int = "all"
    per: str | None = None
    minus: str | None = None

    def __post_init__(self) -> None:
        for name in ("over", "task"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name}: {value}; tasks are counted from 1")

    @property
    def stage(self) -> bool:
        """Whether it looks at one task, so that a closed form may know which."""
        return self.over == "last" or isinstance(self.over, int)

    def text(self) -> str:
        """As one reads it: "slope of otdd:classifier / otdd:classifier:floor, bootstrap"."""
        over = f"after task {self.over}" if isinstance(self.over, int) else self.over
        words = f"{over} of {self.metric}" if over in ("mean", "min", "max", "slope") else self.metric
        words += f" / {self.per}" if self.per else ""
        words += f" on task {self.task}" if self.task != "all" else ""
        words += "" if over in ("mean", "min", "max", "slope") else f" {over}"
        words += f", {self.run}" if self.run else ""
        return words + (f" − {self.minus}" if self.minus else "")


@dataclass(frozen=True)
class ClosedForm:
    """A value by name (see closed_forms.py). arguments: those that neither the run nor the scale gives."""

    closed_form: str
    arguments: dict[str, float] = field(default_factory=dict)


Value = float | ClosedForm


@dataclass(frozen=True)
class Expected:
    """What the quantity should be: `above`, `below`, `between` two values, `equals`, or `order`, labels
    with ascending quantities. within_z, error, precision: of rule z; error: metric of the rows."""

    above: Value | None = None
    below: Value | None = None
    between: tuple[Value, ...] | None = None
    equals: Value | None = None
    order: tuple[str, ...] | None = None
    within_z: float = 5.0
    error: str | None = None
    precision: float | None = None

    def __post_init__(self) -> None:
        kinds = ("above", "below", "between", "equals", "order")
        if sum(getattr(self, kind) is not None for kind in kinds) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)}")
        if self.between is not None and len(self.between) != 2:
            raise ValueError("between takes two values")
        if self.between is not None:
            low, high = self.between
            if isinstance(low, float) and isinstance(high, float) and not low < high:
                raise ValueError(f"between: {low:g} is not below {high:g}")
        if self.order is not None and len(set(self.order)) < max(2, len(self.order)):
            raise ValueError("order takes two labels or more, each once")
        if self.equals is None and (self.error is not None or self.precision is not None):
            raise ValueError("error and precision belong to equals")
        if self.within_z <= 0 or (self.precision is not None and self.precision <= 0):
            raise ValueError("within_z and precision must be above 0")

    @property
    def values(self) -> tuple[Value, ...]:
        """The values to compare with."""
        single = (self.above, self.below, self.equals)
        return (*(value for value in single if value is not None), *(self.between or ()))


@dataclass(frozen=True)
class Claim:
    """text: what is claimed. where: the place in the paper. rule: equality always goes by z."""

    text: str
    where: str
    quantity: Quantity
    expected: Expected
    rule: Literal["t-test", "every"] = "t-test"

    def __post_init__(self) -> None:
        quantity, expected = self.quantity, self.expected
        if expected.order is None and not quantity.run:
            raise ValueError("quantity needs the label of a run")
        if expected.order is not None and (quantity.run or quantity.minus):
            raise ValueError("order names the labels; leave run and minus out of quantity")
        if expected.error is not None and not (quantity.stage and quantity.per is quantity.minus is None):
            raise ValueError("error needs a quantity at one task, without per and minus")
        if self.rule == "every" and expected.equals is not None and expected.error is not None:
            raise ValueError("rule every compares numbers as they are; leave error out")

    @property
    def plain(self) -> bool:
        """Whether it says that one metric, as it is, equals a closed form, which can then be drawn over
        it."""
        quantity = self.quantity
        known = isinstance(self.expected.equals, ClosedForm) and quantity.stage and quantity.task == "all"
        return known and quantity.per is quantity.minus is None

    @property
    def labels(self) -> tuple[str, ...]:
        """The runs it needs."""
        if self.expected.order is not None:
            return self.expected.order
        return (self.quantity.run, *([self.quantity.minus] if self.quantity.minus else []))

    @property
    def metrics(self) -> tuple[str, ...]:
        return (self.quantity.metric, *([self.quantity.per] if self.quantity.per else []))

    def check(self, labels: Sequence[str], constants: Mapping[str, float]) -> None:
        """Raises UserError for a label that no run has, or a closed form that cannot be evaluated."""
        for label in self.labels:
            if label not in labels:
                raise unknown("run", label, labels)
        for value in self.expected.values:
            if isinstance(value, ClosedForm):
                closed_forms.check(value.closed_form, value.arguments, constants, self.quantity.stage)
