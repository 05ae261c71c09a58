"""Plain values from a file to dataclasses: every key is known, every value has its type, or it is an error.

Fields may be text, numbers, booleans, None, `Any`, `Literal`, unions, lists, tuples (of any length) and dicts
with text keys of these, and dataclasses. A field without default is required.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cl_bench.errors import UserError, unknown

T = TypeVar("T")

_SCALARS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "nothing",
}


class _Mismatch(Exception):
    """Not of this type, told in words."""


def read(cls: type[T], value: Any, where: str) -> T:
    """`value`, a mapping, as a `cls`. where: the file and the keys above, for messages.

    Raises UserError naming the place for an unknown key (with the nearest), a missing one, or a wrong type;
    a ValueError of the class's own checks becomes one, too.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected keys and values, got {value!r}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in value:
        if key not in fields:
            raise UserError(f"{where}: {unknown('key', str(key), fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise UserError(f"{where}: key {name!r} is missing")
    given = {}
    for key, entry in value.items():
        place = f"{where}: {key}" if ": " not in where else f"{where}.{key}"
        try:
            given[key] = _convert(hints[key], entry, place)
        except _Mismatch as error:
            raise UserError(f"{place}: expected {error}, got {entry!r}") from None
    try:
        return cls(**given)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise _Mismatch("keys and values")
        return read(hint, value, where)  # type: ignore[arg-type]
    if hint in _SCALARS:
        return _scalar(hint, value)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise _Mismatch(" or ".join(map(repr, arguments)))
        return value
    if origin in (Union, types.UnionType):
        return _either(arguments, value, where)
    if origin in (list, tuple):
        if not isinstance(value, list):
            raise _Mismatch("a list")
        items = [_convert_at(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if origin is list else tuple(items)
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise _Mismatch("keys that are text, and values")
        return {key: _convert_at(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{where}: fields of type {hint} cannot be read")


def _convert_at(hint: Any, value: Any, where: str) -> Any:
    """A part of a list or mapping: what is wrong with it is told with its own place."""
    try:
        return _convert(hint, value, where)
    except _Mismatch as error:
        raise UserError(f"{where}: expected {error}, got {value!r}") from None


def _scalar(hint: Any, value: Any) -> Any:
    # To Python, true is 1; to a reader of YAML it is not.
    if isinstance(value, bool) != (hint is bool):
        raise _Mismatch(_SCALARS[hint])
    if hint is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, hint):
        raise _Mismatch(_SCALARS[hint])
    return value


def _either(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    # A mapping can only be meant for the dataclass among the choices: its message says more.
    for hint in hints:
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            return read(hint, value, where)  # type: ignore[arg-type]
    expected = []
    for hint in hints:
        try:
            return _convert(hint, value, where)
        except _Mismatch as error:
            expected.append(str(error))
    raise _Mismatch(" or ".join(dict.fromkeys(text for text in expected if text != "nothing")))
