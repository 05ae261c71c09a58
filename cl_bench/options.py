"""Options as dataclasses: the field's docstring is its help, its type is its check.

A component's `Options` is a dataclass; each field is followed by a docstring, or, in a dataclass made at
run time, has metadata "help". A field called `lambda_` is the option `lambda`. Bounds are annotated:
`Annotated[float, Ge(0)]`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from cl_bench.errors import UserError


@dataclass(frozen=True)
class Option:
    """One option as shown to users. key: as typed after -o. default: its value, or None when required."""

    key: str
    type: str
    default: Any
    required: bool
    help: str


def key_of(field_name: str) -> str:
    """`lambda_` is a field because `lambda` is a Python keyword; users type `lambda`."""
    return field_name.rstrip("_")


def describe(options: type) -> list[Option]:
    """The options of a dataclass, in order; help is in metadata or the docstrings under its fields."""
    help_of: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if dataclasses.is_dataclass(cls):
            help_of |= _field_docstrings(cls)
    described = []
    for field in dataclasses.fields(options):
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        required = default is dataclasses.MISSING
        kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        text = field.metadata.get("help") or help_of.get(field.name, "")
        described.append(Option(key_of(field.name), kind, None if required else default, required, text))
    return described


def _field_docstrings(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for field, below in itertools.pairwise(body):
        is_field = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if is_field and is_text:
            found[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[attr-defined]
    return found


def build(options: type, values: Mapping[str, Any], owner: str) -> Any:
    """An `options` instance from typed or textual `values` (by option key).

    Raises UserError for an unknown key (with the nearest), a wrong type or a value out of bounds.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    finite = ConfigDict(allow_inf_nan=False)

    fields = {key_of(field.name): field.name for field in dataclasses.fields(options)}
    hints = get_type_hints(options, include_extras=True)
    given: dict[str, Any] = {}
    for key, value in values.items():
        name = fields.get(key_of(key))
        if name is None:
            raise unknown_option(key, fields, owner)
        try:
            given[name] = TypeAdapter(hints[name], config=finite).validate_python(parse(value))
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise UserError(
                f"{owner}: option {key_of(key)}={value}: {problem[0].lower()}{problem[1:]}"
            ) from None
    missing = [
        option.key for option in describe(options) if option.required and fields[option.key] not in given
    ]
    if missing:
        raise UserError(f"{owner}: option {missing[0]} is required; give -o {missing[0]}=…")
    try:
        return options(**given)
    except ValueError as error:
        raise UserError(f"{owner}: {error}") from error


def parse(value: Any) -> Any:
    """Text as typed on a command line to a list where it is one; everything else stays for the type check."""
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "none":
            return None
        if text.startswith("["):
            try:
                return ast.literal_eval(text)
            except (ValueError, SyntaxError):
                return [_word(part) for part in text[1:-1].split(",")] if text.endswith("]") else value
    return value


def value_text(value: Any) -> str:
    """An option's value as typed after -o."""
    if isinstance(value, list | tuple):
        # In quotes, "7" stays a name and "a,b" stays one.
        return "[" + ",".join(repr(item) if isinstance(item, str) else str(item) for item in value) + "]"
    return "none" if value is None else str(value)


def _word(text: str) -> int | str:
    """One of several words: [cat,7] needs no quotes; quoted, "7" is a name."""
    text = text.strip()
    return int(text) if text.removeprefix("-").isdecimal() else text.strip("'\"")


def as_dict(options: Any) -> dict[str, Any]:
    """An options instance as plain values by option key."""
    return {key_of(name): value for name, value in dataclasses.asdict(options).items()}


def route(values: Mapping[str, Any], components: Mapping[str, type | None]) -> dict[str, dict[str, Any]]:
    """Sort flat options to the components that have them.

    components: "strategy", "benchmark", "generator" to their `Options` classes (None: not in this run). A
    key may name its component, as in `generator.steps`. Raises UserError for an unknown or ambiguous key.
    """
    keys = {
        kind: {key_of(field.name) for field in dataclasses.fields(options)} if options else set()
        for kind, options in components.items()
    }
    routed: dict[str, dict[str, Any]] = {kind: {} for kind in components}
    for raw, value in values.items():
        kind, dot, rest = raw.partition(".")
        if dot and kind in keys:
            key = key_of(rest)
            if key not in keys[kind]:
                raise unknown_option(rest, keys[kind], kind)
            owners = [kind]
        else:
            key = key_of(raw)
            owners = [kind for kind in keys if key in keys[kind]]
        if not owners:
            every = sorted(set().union(*keys.values()))
            raise unknown_option(raw, every, "this run")
        if len(owners) > 1:
            choices = " or ".join(f"{owner}.{key}" for owner in owners)
            raise UserError(f"option {key} belongs to more than one part of this run; say {choices}")
        if key in routed[owners[0]]:
            raise UserError(f"option {key} is given twice")
        routed[owners[0]][key] = value
    return routed


def unknown_option(key: str, known: Iterable[str], owner: str) -> UserError:
    """The error for an option that nobody has, with the nearest that somebody has."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return UserError(f"{owner} has no option {key!r}; {hint}")
