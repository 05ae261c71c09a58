"""Verdicts on rows with known answers: each rule at its boundaries, every kind of quantity, closed forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from cl_bench import closed_forms
from cl_bench.claims import Claim, ClosedForm, Expected, Quantity
from cl_bench.errors import UserError
from cl_bench.quantities import Observation, number_of
from cl_bench.verdicts import Judged, judge

Rows = Mapping[str, Sequence[float | None]]


def observation(
    seed: int, all_: Rows, tasks: Mapping[tuple[str, int], Sequence[float | None]] | None = None
) -> Observation:
    """Values after each task, two classes a task: of metrics over all, and of (metric, task from 1)."""
    rows = [(t, None, None, m, v) for m, values in all_.items() for t, v in enumerate(values)]
    rows += [(t, i - 1, None, m, v) for (m, i), values in (tasks or {}).items() for t, v in enumerate(values)]
    # What must not be read: a class's own number, and what was measured before the first task.
    rows += [(0, 0, 1, m, 77.0) for m in all_] + [(-1, None, None, m, 99.0) for m in all_]
    frame = pd.DataFrame(rows, columns=["after_task", "on_task", "class", "metric", "value"])
    types = {"after_task": "int64", "on_task": "Int64", "class": "Int64", "value": "float64"}
    length = max((len(values) for values in all_.values()), default=0)
    return Observation(seed, frame.astype(types), tuple(2 * (t + 1) for t in range(length)))


def last(values: Sequence[float], metric: str = "m") -> list[Observation]:
    """A run of one task per value, seeds 0, 1, …"""
    return [observation(seed, {metric: [value]}) for seed, value in enumerate(values)]


def verdict(values: Sequence[float], rule: Any = "t-test", **expected: Any) -> Judged:
    claim = Claim("text", "where", Quantity("m", "a"), Expected(**expected), rule)
    return judge(claim, {"a": last(values)}, {})


# Quantities.


@pytest.mark.parametrize(
    ("over", "number"),
    [("last", 5.0), (1, 1.0), (2, 3.0), ("mean", 2.75), ("min", 1.0), ("max", 5.0), ("slope", 1.1)],
)
def test_a_number_from_the_course_over_tasks(over: Any, number: float) -> None:
    seen = observation(0, {"m": [1, 3, 2, 5]})
    assert number_of(Quantity("m", "a", over), seen) == pytest.approx(number, abs=1e-14)


def test_slope_is_least_squares_also_with_a_gap() -> None:
    seen = observation(0, {"m": [None, 2.0, 7.0, 4.5, None, 9.0]})
    expected = np.polyfit([1, 2, 3, 5], [2.0, 7.0, 4.5, 9.0], 1)[0]
    assert number_of(Quantity("m", "a", "slope"), seen) == pytest.approx(expected, rel=1e-12)


def test_a_constant_has_slope_zero_exactly_and_one_value_has_none() -> None:
    assert number_of(Quantity("m", "a", "slope"), observation(0, {"m": [0.1] * 7})) == 0
    assert number_of(Quantity("m", "a", "slope"), observation(0, {"m": [None, 0.1]})) is None


def test_one_task_and_a_ratio_to_the_floor() -> None:
    tasks = {("m", 2): [None, 8.0, 6.0], ("m:floor", 2): [None, 2.0, 3.0]}
    seen = observation(0, {"m": [3.0, 4.0, 9.0], "m:floor": [1.0, 2.0, 3.0]}, tasks)
    assert number_of(Quantity("m", "a", task=2), seen) == 6.0
    assert number_of(Quantity("m", "a", "max", per="m:floor"), seen) == 3.0
    assert number_of(Quantity("m", "a", "mean", task=2, per="m:floor"), seen) == 3.0
    zero = observation(0, {"m": [3.0, 4.0, 6.0], "m:floor": [1.0, 0.0, 2.0]})
    for over in ("last", "min", "slope"):
        assert number_of(Quantity("m", "a", over, per="m:floor"), zero) is None, "no task is left out"


def test_the_last_task_counts_and_not_the_last_number() -> None:
    seen = observation(0, {"m": [1.0, None], "other": [1.0, 1.0]})
    assert number_of(Quantity("m", "a"), seen) is None
    assert number_of(Quantity("m", "a", 1), seen) == 1.0


# The t-test.

FOUR = [1.0, 2.0, 3.0, 4.0]  # mean 2.5
WIDTH = float(student.ppf(0.95, 3)) * math.sqrt(5 / 3) / 2


@pytest.mark.parametrize(
    ("x", "above", "below"),
    [
        (2.5 - WIDTH - 1e-6, "supported", "not supported"),
        (2.5 - WIDTH + 1e-6, "undecided", "undecided"),
        (2.5 + WIDTH - 1e-6, "undecided", "undecided"),
        (2.5 + WIDTH + 1e-6, "not supported", "supported"),
    ],
)
def test_above_and_below_turn_at_the_bound(x: float, above: str, below: str) -> None:
    assert verdict(FOUR, above=x).verdict == above
    assert verdict(FOUR, below=x).verdict == below


def test_a_range_needs_both_ends_and_outside_is_tested_at_half_the_level() -> None:
    wide = float(student.ppf(0.975, 3)) * math.sqrt(5 / 3) / 2
    assert verdict(FOUR, between=(2.5 - WIDTH - 1e-6, 2.5 + WIDTH + 1e-6)).verdict == "supported"
    assert verdict(FOUR, between=(2.5 - WIDTH + 1e-6, 9.0)).verdict == "undecided"
    assert verdict(FOUR, between=(-9.0, 2.5 + WIDTH - 1e-6)).verdict == "undecided"
    assert verdict(FOUR, between=(2.5 + wide - 1e-6, 9.0)).verdict == "undecided"
    assert verdict(FOUR, between=(2.5 + wide + 1e-6, 9.0)).verdict == "not supported"
    assert verdict(FOUR, between=(-9.0, 2.5 - wide - 1e-6)).verdict == "not supported"


@pytest.mark.parametrize("values", [[9.0], [9.0, 9.1]])
def test_fewer_than_three_seeds_decide_nothing(values: list[float]) -> None:
    judged = verdict(values, above=0.0)
    assert judged.verdict == "undecided"
    assert judged.seeds == len(values)
    assert "the test needs 3" in judged.reason
    assert verdict([9.0, 9.1, 9.2], above=0.0).verdict == "supported"


def test_seeds_that_agree_exactly() -> None:
    assert verdict([0.2] * 3, above=0.1).verdict == "supported"
    assert verdict([0.2] * 3, above=0.3).verdict == "not supported"
    assert verdict([0.2] * 3, above=0.2).verdict == "undecided"
    assert verdict([0.1 + 0.2] * 3, above=0.3).verdict == "undecided", "a difference by rounding is none"


def test_the_level_is_kept() -> None:
    """With the truth at the border, a false `supported` comes in 5 % of experiments, |z| < 4."""
    draws = np.random.default_rng(0).normal(size=(2000, 3))
    wrong = sum(verdict(list(draw), above=0.0).verdict == "supported" for draw in draws)
    assert abs(wrong - 100) < 4 * math.sqrt(2000 * 0.05 * 0.95)


# Rule every.


def test_every_seed_must_agree_and_one_is_enough() -> None:
    assert verdict([1.0], "every", above=0.5).verdict == "supported"
    assert verdict([1.0, 0.4], "every", above=0.5).verdict == "not supported"
    assert verdict([0.5], "every", above=0.5).verdict == "not supported"
    assert verdict([0.5, 1.0], "every", between=(0.5, 1.0)).verdict == "supported"
    assert verdict([0.1 + 0.2], "every", equals=0.3).verdict == "supported"
    assert verdict([0.31], "every", equals=0.3).verdict == "not supported"


# Differences and orders.


def paired(rows: dict[str, list[float]], expected: Expected, **quantity: Any) -> Judged:
    runs = {label: last(values) for label, values in rows.items()}
    return judge(Claim("text", "where", Quantity("m", **quantity), expected), runs, {})


def test_a_difference_is_paired_by_seed() -> None:
    # Apart by 0.1 for every seed, which the scatter between seeds would hide.
    rows = {"a": [1.0, 5.0, 9.0], "b": [1.1, 5.1, 9.1]}
    judged = paired(rows, Expected(below=0.0), run="a", minus="b")
    assert judged.verdict == "supported"
    assert judged.values["a − b"] == pytest.approx({0: -0.1, 1: -0.1, 2: -0.1})


def test_only_seeds_of_both_count() -> None:
    runs = {"a": last([1.0, 2.0, 3.0]), "b": last([2.0, 3.0])}
    claim = Claim("text", "where", Quantity("m", "a", minus="b"), Expected(below=0.0))
    judged = judge(claim, runs, {})
    assert (judged.seeds, judged.verdict) == (2, "undecided")


def test_an_order_needs_every_step() -> None:
    order = Expected(order=("a", "b", "c"))
    rising = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.3], "c": [3.0, 3.2, 3.3]}
    assert paired(rising, order).verdict == "supported"
    assert paired(rising | {"c": [2.0, 2.1, 2.3]}, order).verdict == "undecided"
    assert paired(rising | {"c": [0.9, 1.0, 1.1]}, order).verdict == "not supported"
    assert paired({k: v[:2] for k, v in rising.items()}, order).verdict == "undecided"
    missing = paired(rising | {"b": []}, order)
    assert (missing.verdict, missing.reason) == ("no data", "no number from b")


def test_a_step_back_is_tested_at_a_share_of_the_level() -> None:
    steps = np.array([-0.9, -1.0, -1.6]) + 0.35
    mean, std = steps.mean(), steps.std(ddof=1)
    high = {level: mean + student.ppf(1 - level, 2) * std / math.sqrt(3) for level in (0.05, 0.025)}
    assert high[0.05] < 0 < high[0.025], "the example lies between the two levels"
    one = {"a": [0.0, 0.0, 0.0], "b": list(steps)}
    assert paired(one, Expected(order=("a", "b"))).verdict == "not supported"
    two = one | {"c": [9.0, 9.0, 9.1]}
    assert paired(two, Expected(order=("a", "b", "c"))).verdict == "undecided"


# Closed forms.


def test_replicas_of_a_gaussian_loop_agree_with_theory_and_not_with_another_n() -> None:
    """20,000 loops by their sufficient statistics: σ²_{t+1} = σ²_t χ²_{n−1}/n."""
    n, t, replicas = 10, 5, 20_000
    chi = np.random.default_rng(1).chisquare(n - 1, size=(replicas, t)) / n
    std = np.sqrt(chi.prod(1))
    rows = {"std": [float(std.mean())] * t, "std:se": [float(std.std(ddof=1) / math.sqrt(replicas))] * t}
    runs = {"gaussian": [observation(0, rows)]}

    def said(n: int, **more: Any) -> Judged:
        form = ClosedForm("gaussian-replace-std", {"n": n})
        claim = Claim(
            "the spread shrinks as theory says",
            "Shumailov et al. 2023",
            Quantity("std", "gaussian"),
            Expected(equals=form, error="std:se", **more),
        )
        claim.check(["gaussian"], {})
        return judge(claim, runs, {})

    judged = said(n)
    assert judged.verdict == "supported", judged.reason
    assert judged.expected.startswith("= gaussian-replace-std(n=10) = 0.6")
    assert said(11).verdict == "not supported"
    assert said(n, precision=1e-6).verdict == "undecided"


def test_equality_over_seeds_needs_thirty() -> None:
    values = list(np.random.default_rng(2).normal(0.95, 0.01, size=30))
    assert verdict(values[:29], equals=0.95).verdict == "undecided"
    assert verdict(values, equals=0.95).verdict == "supported"
    assert verdict(values, equals=0.93).verdict == "not supported"
    assert verdict([0.95] * 30, equals=0.95).verdict == "supported"
    assert verdict([0.95] * 30, equals=0.951).verdict == "not supported"


@pytest.mark.parametrize(("z", "expected"), [(4.999, "supported"), (5.001, "not supported")])
def test_z_turns_at_its_bound(z: float, expected: str) -> None:
    runs = {"a": [observation(0, {"m": [1.0 + 0.1 * z], "m:se": [0.1]})]}
    claim = Claim("text", "where", Quantity("m", "a"), Expected(equals=1.0, error="m:se"))
    assert judge(claim, runs, {}).verdict == expected


def test_a_missing_error_is_no_data() -> None:
    claim = Claim("text", "where", Quantity("m", "a"), Expected(equals=1.0, error="m:se"))
    judged = judge(claim, {"a": last([1.0])}, {})
    assert (judged.verdict, judged.reason) == ("no data", "no m:se in the rows")


def test_a_closed_form_knows_the_stage_of_the_run_and_constants_of_the_scale() -> None:
    seen = [observation(s, {"m": [0.5, 0.25 + 1e-3 * s]}) for s in range(3)]
    claim = Claim("text", "where", Quantity("m", "a"), Expected(above=ClosedForm("chance")))
    assert judge(claim, {"a": seen}, {}).expected == "> chance = 0.25"
    form = ClosedForm("gaussian-replace-variance")
    after_one = Claim("text", "where", Quantity("m", "a", 1), Expected(equals=form), "every")
    assert judge(after_one, {"a": seen}, {"n": 2}).verdict == "supported"
    assert judge(after_one, {"a": seen}, {"n": 4}).verdict == "not supported"


def test_values_of_the_closed_forms() -> None:
    def value(name: str, **given: float) -> float:
        return closed_forms.evaluate(name, given, {})

    assert value("gaussian-replace-variance", n=10, t=10) == pytest.approx(0.9**10)
    # E W₂² = 2(1 − c^t) of the same loop is 1.104945 at n = t = 10.
    assert 2 * (1 - value("gaussian-replace-std", n=10, t=10)) == pytest.approx(1.104945, abs=1e-6)
    limit = math.sin(math.pi / math.sqrt(20)) / (math.pi / math.sqrt(20))
    assert value("gaussian-accumulate-variance", n=20, t=100_000) == pytest.approx(limit, abs=1e-6)
    assert value("chance", classes=20) == 0.05


# What is not there, and what cannot be meant.


def test_no_runs_are_no_data() -> None:
    claim = Claim("text", "where", Quantity("m", "a"), Expected(above=ClosedForm("chance")))
    judged = judge(claim, {"a": []}, {})
    assert (judged.verdict, judged.seeds, judged.measured) == ("no data", 0, "–")
    assert judged.reason == "no finished run of a"
    assert judged.expected == "> chance"
    other = judge(claim, {"a": last([1.0], "other")}, {})
    assert (other.verdict, other.reason) == ("no data", "the rows do not give m last, a")


def test_judged_as_plain_values() -> None:
    judged = verdict(FOUR, above=0.0).as_dict()
    assert judged["measured"] == "2.5 ± 1.3"
    assert judged["values"] == {"a": {"0": 1.0, "1": 2.0, "2": 3.0, "3": 4.0}}
    assert (judged["rule"], judged["verdict"], judged["seeds"]) == ("t-test", "supported", 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Expected(), "exactly one of"),
        (lambda: Expected(above=1.0, below=2.0), "exactly one of"),
        (lambda: Expected(between=(1.0,)), "two values"),
        (lambda: Expected(between=(2.0, 1.0)), "2 is not below 1"),
        (lambda: Expected(order=("a", "a")), "two labels"),
        (lambda: Expected(above=1.0, error="m:se"), "belong to equals"),
        (lambda: Expected(equals=1.0, within_z=0.0), "above 0"),
        (lambda: Quantity("m", "a", 0), "counted from 1"),
        (lambda: Quantity("m", "a", task=0), "counted from 1"),
        (lambda: Claim("t", "w", Quantity("m"), Expected(above=0.0)), "needs the label"),
        (lambda: Claim("t", "w", Quantity("m", "a"), Expected(order=("a", "b"))), "leave run and minus out"),
        (
            lambda: Claim("t", "w", Quantity("m", "a", "slope"), Expected(equals=0.0, error="m:se")),
            "error needs a quantity at one task",
        ),
    ],
)
def test_a_claim_that_means_nothing_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("form", "over", "message"),
    [
        (ClosedForm("chanse"), "last", "unknown closed form 'chanse'; did you mean 'chance'"),
        (ClosedForm("chance", {"clases": 3}), "last", "unknown argument 'clases'; did you mean 'classes'"),
        (ClosedForm("gaussian-replace-std"), "last", "needs the argument 'n'"),
        (ClosedForm("chance"), "slope", "needs the argument 'classes'"),
    ],
)
def test_a_closed_form_that_cannot_be_evaluated_is_refused(form: ClosedForm, over: Any, message: str) -> None:
    claim = Claim("text", "where", Quantity("m", "a", over), Expected(above=form))
    with pytest.raises(UserError, match=message):
        claim.check(["a"], {})


def test_a_label_that_no_run_has_is_refused() -> None:
    claim = Claim("text", "where", Quantity("m", "bootstap"), Expected(above=0.0))
    with pytest.raises(UserError, match="unknown run 'bootstap'; did you mean 'bootstrap'"):
        claim.check(["bootstrap", "joint"], {})
