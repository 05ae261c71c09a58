"""Values that theory gives, by name, for claims to compare measurements with.

A closed form is a function of numbers. The recipe gives its arguments, but for what is known of a run at the
stage where the claim looks: `t`, tasks learned so far (from 1), and `classes`, classes seen so far.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from cl_bench.errors import UserError, unknown

F = TypeVar("F", bound=Callable[..., float])

FROM_THE_RUN = ("t", "classes")

_FORMS: dict[str, Callable[..., float]] = {}


def closed_form(name: str) -> Callable[[F], F]:
    """Register a function under `name`. Raises UserError when the name is taken."""

    def decorate(function: F) -> F:
        if name in _FORMS:
            raise UserError(f"closed form {name!r} is registered twice; rename one")
        _FORMS[name] = function
        return function

    return decorate


def check(name: str, given: Mapping[str, float], constants: Mapping[str, float], stage: bool) -> None:
    """Raises UserError unless `name` is a closed form with all it needs and nothing `given` that it does not.

    stage: whether what is known of a run at one stage can be had, too.
    """
    if name not in _FORMS:
        raise unknown("closed form", name, _FORMS)
    parameters = inspect.signature(_FORMS[name]).parameters
    for key in given:
        if key not in parameters:
            raise UserError(f"closed form {name!r}: {unknown('argument', key, parameters)}")
    for key, parameter in parameters.items():
        found = key in given or key in constants or (stage and key in FROM_THE_RUN)
        if not found and parameter.default is parameter.empty:
            raise UserError(f"closed form {name!r} needs the argument {key!r}")


def evaluate(name: str, given: Mapping[str, float], known: Mapping[str, float]) -> float:
    """Its value; what is `given` wins over what is `known` besides."""
    function = _FORMS[name]
    parameters = inspect.signature(function).parameters
    return float(
        function(**({key: value for key, value in known.items() if key in parameters} | dict(given)))
    )


@closed_form("chance")
def chance(classes: float) -> float:
    """Accuracy of guessing among classes with as many test samples each: 1/classes."""
    return 1 / classes


@closed_form("replaced-depth")
def replaced_depth(t: float) -> float:
    """Generation depth after t generations of a loop that replaces its data by its samples: t."""
    return t


@closed_form("gaussian-replace-variance")
def gaussian_replace_variance(t: float, n: float) -> float:
    """E σ²_t / σ²_0 = (1 − 1/n)^t: a Gaussian refitted t times by maximum likelihood to n of its own samples
    (Shumailov et al. 2023)."""
    return (1 - 1 / n) ** t


@closed_form("gaussian-replace-std")
def gaussian_replace_std(t: float, n: float) -> float:
    """E σ_t / σ_0 = (√(2/n) Γ(n/2)/Γ((n−1)/2))^t of the same loop."""
    return math.exp(t * (math.log(2 / n) / 2 + math.lgamma(n / 2) - math.lgamma((n - 1) / 2)))


@closed_form("gaussian-accumulate-variance")
def gaussian_accumulate_variance(t: float, n: float) -> float:
    """E σ²_t / σ²_0 = Π_{s ≤ t} (1 − 1/(n s²)): refitted to the union of all generations, n samples each."""
    return math.prod(1 - 1 / (n * s * s) for s in range(1, round(t) + 1))
