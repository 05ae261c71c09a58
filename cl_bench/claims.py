"""Claims as data, verdicts as computed from the rows of finished runs.

A quantity gives one number per seed. Verdicts follow from those numbers by one of three rules:

  t-test   (default) Over n ≥ 3 seeds, with one-sided 95 % Student bounds on the mean: `supported` when the
           bounded side agrees with the expectation, `not supported` when it contradicts it, else
           `undecided`; always `undecided` with fewer seeds. For a range both ends must agree (two one-sided
           tests); being outside is tested at 2.5 % an end. An order of k labels is k − 1 paired differences
           between neighbours: all must agree at 5 % each, which keeps the level; one that contradicts at
           5 %/(k − 1) is enough.
  every    For quantities that no seed changes: `supported` when every seed's number agrees, else `not
           supported`.
  z        For equality: z = (mean − value)/standard error, `supported` when |z| < within_z. The standard
           error is that of the mean over n ≥ 30 seeds, or, where one run makes many replicas, read from the
           rows (`error`). A wide error agrees with everything: with `precision`, one wider than that is
           `undecided`.

Numbers closer than 1e-12 (relative, above 1) count as equal. Without a number there is `no data`. The tests
assume seeds to be independent and their means about normal; claims are not corrected for being several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cl_bench import closed_forms
from cl_bench.errors import unknown

if TYPE_CHECKING:
    import pandas as pd

    from cl_bench.finished_run import Run

LEVEL = 0.05
LEAST_SEEDS, LEAST_REPLICAS = 3, 30
EQUAL = 1e-12

Verdict = Literal["supported", "not supported", "undecided", "no data"]
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
    with ascending quantities. within_z, error, precision: see rule z above; error: metric of the rows."""

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
    """text: what is claimed. where: the place in the paper. rule: see above; equality always goes by z."""

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


@dataclass(frozen=True)
class Observation:
    """A finished run as claims see it. rows: as in `Run.rows`. seen: classes seen after each of its tasks."""

    seed: int
    rows: pd.DataFrame
    seen: tuple[int, ...]


def observe(run: Run) -> Observation:
    """A finished run's rows."""
    tasks: list[list[int]] = run.manifest["tasks"]
    seen = tuple(len({c for classes in tasks[: t + 1] for c in classes}) for t in range(len(tasks)))
    return Observation(run.seed, run.rows, seen)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. expected: in words, closed forms with their value. values: label (or labels,
    for a difference) to seed to number. reason: the computation behind the verdict, in a line."""

    claim: Claim
    verdict: Verdict
    expected: str
    values: dict[str, dict[int, float]]
    reason: str

    @property
    def seeds(self) -> int:
        """How many numbers the verdict rests on; of an order, the fewest of a label."""
        return min((len(found) for found in self.values.values()), default=0)

    @property
    def measured(self) -> str:
        """Mean ± sample standard deviation over seeds."""
        texts = [
            (f"{label}: " if len(self.values) > 1 else "") + mean_and_std(list(found.values()))
            for label, found in self.values.items()
        ]
        return "; ".join(texts) or "–"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "claim": self.claim.text,
            "where": self.claim.where,
            "quantity": self.claim.quantity.text(),
            "expected": self.expected,
            "measured": self.measured,
            "seeds": self.seeds,
            "values": {
                label: {str(seed): value for seed, value in found.items()}
                for label, found in self.values.items()
            },
            "rule": _rule(self.claim),
            "verdict": self.verdict,
            "reason": self.reason,
        }


def mean_and_std(values: Sequence[float]) -> str:
    """ "0.912 ± 0.010", no ± for one value."""
    if not values:
        return "–"
    mean = math.fsum(values) / len(values)
    return f"{mean:.4g} ± {_std(values):.2g}" if len(values) > 1 else f"{mean:.4g}"


def judge(claim: Claim, runs: Mapping[str, Sequence[Observation]], constants: Mapping[str, float]) -> Judged:
    """The verdict on `claim` from the finished `runs` by label; constants: of the scale, for closed forms."""
    quantity, expected = claim.quantity, claim.expected
    if expected.order is not None:
        return _order(claim, {label: _per_seed(quantity, runs.get(label, ())) for label in expected.order})
    values = _per_seed(quantity, runs.get(quantity.run, ()))
    name = quantity.run
    if quantity.minus is not None:
        other = _per_seed(quantity, runs.get(quantity.minus, ()))
        values = {seed: values[seed] - other[seed] for seed in sorted(values.keys() & other.keys())}
        name += f" − {quantity.minus}"
    observed = runs.get(quantity.run, ())
    if not values:
        return Judged(claim, "no data", _in_words(expected, None), {}, _missing(claim, runs))
    known = dict(constants) | _at_stage(quantity, observed[0])
    numbers = [_number(value, known) for value in expected.values]
    words = _in_words(expected, numbers)
    found = list(values.values())
    verdict: Verdict
    if claim.rule == "every":
        verdict, reason = _every(expected, numbers, found)
    elif expected.equals is not None:
        errors = _errors(claim, observed) if expected.error is not None else None
        if expected.error is not None and not errors:
            return Judged(claim, "no data", words, {name: values}, f"no {expected.error} in the rows")
        verdict, reason = _z(expected, numbers[0], found, errors)
    else:
        verdict, reason = _t_test(expected, numbers, found)
    return Judged(claim, verdict, words, {name: values}, reason)


# Quantities.


def series(observation: Observation, metric: str, task: Literal["all"] | int) -> dict[int, float]:
    """`metric` by task learned (from 0), where it is defined: over all classes seen, or of one, from 1."""
    rows = observation.rows
    rows = rows[(rows["metric"] == metric) & (rows["after_task"] >= 0) & rows["class"].isna()]
    rows = (
        rows[rows["on_task"].isna()] if task == "all" else rows[(rows["on_task"] == task - 1).fillna(False)]
    )
    found = zip(rows["after_task"], rows["value"], strict=True)
    return {int(t): float(value) for t, value in found if math.isfinite(value)}


def number_of(quantity: Quantity, observation: Observation) -> float | None:
    """The quantity of one run, None where its rows do not give it; `minus` is not looked at."""
    values = series(observation, quantity.metric, quantity.task)
    if quantity.per is not None:
        ideal = series(observation, quantity.per, quantity.task)
        values = {t: value / ideal[t] for t, value in values.items() if ideal.get(t)}
    if quantity.stage:
        return values.get(_stage(quantity, observation) - 1)
    if len(values) < (2 if quantity.over == "slope" else 1):
        return None
    if quantity.over == "slope":
        return _slope(values)
    found = list(values.values())
    return {"mean": math.fsum(found) / len(found), "min": min(found), "max": max(found)}[str(quantity.over)]


def _slope(values: Mapping[int, float]) -> float:
    """Least-squares slope over the tasks; 0 exactly where all values are equal."""
    n = len(values)
    centre, level = math.fsum(values) / n, next(iter(values.values()))
    # Any level may be subtracted, since Σ(t − t̄) = 0; one of the values keeps a constant series at 0.
    up = math.fsum((t - centre) * (value - level) for t, value in values.items())
    return up / math.fsum((t - centre) ** 2 for t in values)


def _per_seed(quantity: Quantity, observations: Sequence[Observation]) -> dict[int, float]:
    found = {o.seed: number_of(quantity, o) for o in sorted(observations, key=lambda o: o.seed)}
    return {seed: value for seed, value in found.items() if value is not None}


def _stage(quantity: Quantity, observation: Observation) -> int:
    """The task, from 1, at which it looks."""
    return quantity.over if isinstance(quantity.over, int) else len(observation.seen)


def _at_stage(quantity: Quantity, observation: Observation) -> dict[str, float]:
    stage = _stage(quantity, observation)
    if not quantity.stage or stage > len(observation.seen):
        return {}
    return {"t": stage, "classes": observation.seen[stage - 1]}


def _missing(claim: Claim, runs: Mapping[str, Sequence[Observation]]) -> str:
    without = [label for label in claim.labels if not runs.get(label)]
    if without:
        return f"no finished run of {', '.join(without)}"
    return f"the rows do not give {claim.quantity.text()}"


def _number(value: Value, known: Mapping[str, float]) -> float:
    if not isinstance(value, ClosedForm):
        return value
    return closed_forms.evaluate(value.closed_form, value.arguments, known)


# Verdicts.


def _std(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def _bounds(values: Sequence[float], level: float) -> tuple[float, float]:
    """Lower and upper Student bound on the mean, each one-sided at `level`."""
    from scipy.stats import t

    mean = math.fsum(values) / len(values)
    width = float(t.ppf(1 - level, len(values) - 1)) * _std(values) / math.sqrt(len(values))
    return mean - width, mean + width


def _above(value: float, than: float) -> bool:
    return value > than + EQUAL * max(1.0, abs(than))


def _t_test(expected: Expected, numbers: Sequence[float], values: Sequence[float]) -> tuple[Verdict, str]:
    if len(values) < LEAST_SEEDS:
        return "undecided", _too_few(len(values), LEAST_SEEDS)
    low, high = _bounds(values, LEVEL)
    told = f"one-sided 95 % bounds of the mean: {low:.4g}, {high:.4g}"
    if expected.above is not None:
        return _decided(_above(low, numbers[0]), _above(numbers[0], high)), told
    if expected.below is not None:
        return _decided(_above(numbers[0], high), _above(low, numbers[0])), told
    lowest, highest = _bounds(values, LEVEL / 2)
    inside = _above(low, numbers[0]) and _above(numbers[1], high)
    outside = _above(numbers[0], highest) or _above(lowest, numbers[1])
    return _decided(inside, outside), told


def _every(expected: Expected, numbers: Sequence[float], values: Sequence[float]) -> tuple[Verdict, str]:
    def agrees(value: float) -> bool:
        if expected.above is not None:
            return _above(value, numbers[0])
        if expected.below is not None:
            return _above(numbers[0], value)
        if expected.equals is not None:
            return not _above(value, numbers[0]) and not _above(numbers[0], value)
        return not _above(numbers[0], value) and not _above(value, numbers[1])

    right = sum(map(agrees, values))
    return _decided(right == len(values), right < len(values)), f"{right} of {len(values)} seeds agree"


def _z(
    expected: Expected, number: float, values: Sequence[float], errors: Sequence[float] | None
) -> tuple[Verdict, str]:
    if errors is None and len(values) < LEAST_REPLICAS:
        return "undecided", _too_few(len(values), LEAST_REPLICAS)
    if errors is None:
        error = _std(values) / math.sqrt(len(values))
    else:
        error = math.sqrt(math.fsum(e * e for e in errors)) / len(errors)
    mean = math.fsum(values) / len(values)
    if not _above(mean, number) and not _above(number, mean):
        z = 0.0
    else:
        z = (mean - number) / error if error else math.copysign(math.inf, mean - number)
    told = f"z = {z:.2f}, standard error {error:.2g}"
    if abs(z) < expected.within_z and expected.precision is not None and error > expected.precision:
        return "undecided", f"{told}, wider than {expected.precision:g}"
    return _decided(abs(z) < expected.within_z, abs(z) >= expected.within_z), told


def _errors(claim: Claim, observations: Sequence[Observation]) -> list[float]:
    """The standard errors in the rows, one per run with a number; empty when one lacks its error."""
    quantity = claim.quantity
    assert claim.expected.error is not None
    error = Quantity(claim.expected.error, quantity.run, quantity.over, quantity.task)
    counted = [o for o in observations if number_of(quantity, o) is not None]
    found = [number_of(error, o) for o in counted]
    known = [value for value in found if value is not None]
    return known if len(known) == len(found) else []


def _order(claim: Claim, values: dict[str, dict[int, float]]) -> Judged:
    """Neighbours, paired by seed, must ascend."""
    labels = claim.expected.order or ()
    words = " < ".join(labels)
    empty = [label for label in labels if not values[label]]
    if empty:
        reason = f"no number from {', '.join(empty)}"
        return Judged(claim, "no data", words, {k: v for k, v in values.items() if v}, reason)
    pairs = len(labels) - 1
    verdicts, told = [], []
    for i in range(pairs):
        left, right = values[labels[i]], values[labels[i + 1]]
        steps = [right[seed] - left[seed] for seed in sorted(left.keys() & right.keys())]
        if claim.rule == "every" and steps:
            verdict, reason = _every(Expected(above=0.0), [0.0], steps)
        elif len(steps) < LEAST_SEEDS:
            verdict, reason = "undecided", _too_few(len(steps), LEAST_SEEDS)
        else:
            low, high = _bounds(steps, LEVEL)[0], _bounds(steps, LEVEL / pairs)[1]
            verdict, reason = _decided(_above(low, 0.0), _above(0.0, high)), f"step {mean_and_std(steps)}"
        verdicts.append(verdict)
        told.append(f"{labels[i]} < {labels[i + 1]}: {verdict}, {reason}")
    verdict = _decided(all(v == "supported" for v in verdicts), "not supported" in verdicts)
    return Judged(claim, verdict, words, values, "; ".join(told))


def _decided(agrees: bool, contradicts: bool) -> Verdict:
    return "supported" if agrees else "not supported" if contradicts else "undecided"


def _too_few(have: int, need: int) -> str:
    return f"{have} {'seed' if have == 1 else 'seeds'}; the test needs {need}"


# Words.


def _rule(claim: Claim) -> str:
    return claim.rule if claim.rule == "every" else "z" if claim.expected.equals is not None else "t-test"


def _in_words(expected: Expected, numbers: Sequence[float] | None) -> str:
    """ "> 0", "in [0, 1]"; closed forms by name, with `numbers` with their values."""
    texts = [_value_text(value, i, numbers) for i, value in enumerate(expected.values)]
    if expected.above is not None:
        return f"> {texts[0]}"
    if expected.below is not None:
        return f"< {texts[0]}"
    if expected.between is not None:
        return f"in [{texts[0]}, {texts[1]}]"
    return f"= {texts[0]}"


def _value_text(value: Value, index: int, numbers: Sequence[float] | None) -> str:
    if not isinstance(value, ClosedForm):
        return f"{value:g}"
    given = ", ".join(f"{key}={number:g}" for key, number in value.arguments.items())
    name = f"{value.closed_form}({given})" if given else value.closed_form
    return f"{name} = {numbers[index]:.4g}" if numbers else name
