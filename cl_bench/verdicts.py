"""Verdicts on claims, computed from the rows of finished runs.

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
from dataclasses import dataclass
from typing import Any, Literal

from cl_bench import closed_forms
from cl_bench.claims import Claim, ClosedForm, Expected, Quantity, Value
from cl_bench.quantities import Observation, at_stage, number_of, per_seed

LEVEL = 0.05
LEAST_SEEDS, LEAST_REPLICAS = 3, 30
EQUAL = 1e-12

Verdict = Literal["supported", "not supported", "undecided", "no data"]


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
        """How many numbers there are; of an order, the fewest of a label."""
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
        return _order(claim, {label: per_seed(quantity, runs.get(label, ())) for label in expected.order})
    values = per_seed(quantity, runs.get(quantity.run, ()))
    name = quantity.run
    if quantity.minus is not None:
        other = per_seed(quantity, runs.get(quantity.minus, ()))
        values = {seed: values[seed] - other[seed] for seed in sorted(values.keys() & other.keys())}
        name += f" − {quantity.minus}"
    observed = runs.get(quantity.run, ())
    if not values:
        return Judged(claim, "no data", _in_words(expected, None), {}, _missing(claim, runs))
    known = dict(constants) | at_stage(quantity, observed[0])
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
    given = ", ".join(f"{key.rstrip('_')}={number:g}" for key, number in value.arguments.items())
    name = f"{value.closed_form}({given})" if given else value.closed_form
    return f"{name} = {numbers[index]:.4g}" if numbers else name
