"""Options: help, types, bounds, routing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from annotated_types import Ge

from cl_bench import options
from cl_bench.errors import UserError


@dataclass(frozen=True)
class Base:
    steps: int = 10
    """how many"""


@dataclass(frozen=True)
class Example(Base):
    lambda_: Annotated[float, Ge(0)] = 0.5
    """synthetic
    per real"""
    mode: Literal["a", "b"] = "a"
    """which"""
    sizes: int | list[int] = 5
    """number or list"""
    maybe: int | None = None
    """a number or none"""
    names: int | list[int | str] = 1
    """names or numbers"""


def test_describe_reads_help_from_docstrings_of_all_bases() -> None:
    described = {option.key: option for option in options.describe(Example)}
    assert described["steps"].help == "how many"
    assert described["lambda"].help == "synthetic per real"
    assert described["lambda"].default == 0.5


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lambda": "0.25"}, {"lambda_": 0.25}),
        ({"lambda_": 1}, {"lambda_": 1.0}),
        ({"sizes": "[4,3,3]"}, {"sizes": [4, 3, 3]}),
        ({"sizes": "7"}, {"sizes": 7}),
        ({"maybe": "none"}, {"maybe": None}),
        ({"mode": "b"}, {"mode": "b"}),
        ({"names": "[sweet_pepper, 7]"}, {"names": ["sweet_pepper", 7]}),
        ({"names": "['7', cat]"}, {"names": ["7", "cat"]}),
        ({"names": "3"}, {"names": 3}),
    ],
)
def test_build_converts_text(given: dict[str, object], expected: dict[str, object]) -> None:
    built = options.build(Example, given, "strategy x")
    assert {key: getattr(built, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lambda": "-1"}, r"option lambda=-1: input should be greater than or equal to 0"),
        ({"steps": "many"}, r"option steps=many: input should be a valid integer"),
        ({"steps": "1.5"}, r"option steps=1.5"),
        ({"sizes": "[4,3"}, r"option sizes=\[4,3"),
        ({"sizes": "[4,x]"}, r"option sizes=\[4,x\]"),
        ({"mode": "c"}, r"option mode=c: input should be 'a' or 'b'"),
        ({"stepz": "1"}, r"has no option 'stepz'; did you mean 'steps'"),
    ],
)
def test_build_refuses_in_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        options.build(Example, given, "strategy x")
    assert "\n" not in str(error.value)


def test_route_finds_the_owner_and_names_ambiguity() -> None:
    components = {"strategy": Example, "benchmark": None, "generator": Base}
    assert options.route({"lambda": 1}, components)["strategy"] == {"lambda": 1}
    assert options.route({"generator.steps": 3}, components)["generator"] == {"steps": 3}
    with pytest.raises(UserError, match=r"strategy\.steps or generator\.steps"):
        options.route({"steps": 3}, components)
    with pytest.raises(UserError, match="given twice"):
        options.route({"strategy.mode": "a", "mode": "b"}, components)
    with pytest.raises(UserError, match="no option 'lamda'; did you mean 'lambda'"):
        options.route({"lamda": 1}, components)
