"""What a verb is, and the arguments that several verbs share."""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from typing import ClassVar

from cl_bench.errors import UserError


class Verb(ABC):
    """One verb of the command line. Heavy imports belong inside `execute`."""

    epilog: ClassVar[str] = ""

    @abstractmethod
    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's arguments."""

    @abstractmethod
    def execute(self, arguments: argparse.Namespace) -> int:
        """Do it; the exit code. Raises UserError for a mistake."""


def add_output(parser: argparse.ArgumentParser) -> None:
    # No default here: a configuration file may name one, and the command line must win over it.
    parser.add_argument("--output", metavar="DIR", help="folder that holds all runs (default: runs)")


def add_data_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        help="folder of the data sets (default: CL_BENCH_DATA, else a cache folder)",
    )


def add_plugin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE|MODULE",
        help="import this file or module first, so that what it registers can be named; may be repeated",
    )


def add_track(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--track",
        action="append",
        metavar="NAME",
        help="also log to this tracker, tensorboard or wandb; may be repeated",
    )


def add_judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--evaluators",
        type=names,
        metavar="NAME,…",
        help="these evaluators, or all (default: quick ones)",
    )
    parser.add_argument(
        "--extractors",
        type=names,
        metavar="NAME,…",
        help="of the features that distances are taken in (default: classifier)",
    )
    parser.add_argument(
        "--ci",
        action="store_true",
        default=None,
        help="with 95 %% confidence intervals; distances then take ten to twenty times as long",
    )


def names(text: str) -> tuple[str, ...]:
    """An argument type: names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def whole_number(text: str) -> int:
    """An argument type with a readable error."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def assignment(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UserError(f"-o {text}: expected key=value, as in -o lambda=0.5")
    return key.strip(), value.strip()
