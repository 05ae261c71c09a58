"""A table as people read it: cells are text already, so that terminal, Markdown, LaTeX and page agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """One entry. strong: the best of its column. link: a relative path to what it is about, or "". raw: the
    numbers behind the text, not rounded, by what they are: value, or mean, std and n; floor, low, high, …"""

    text: str
    strong: bool = False
    link: str = ""
    raw: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One heading. group: a heading over this one and its neighbours of the same group. flat: what stands
    for both where headings cannot be grouped. numeric: aligned right. prose: sentences, which may go on
    several lines."""

    heading: str
    numeric: bool = True
    group: str = ""
    flat: str = ""
    prose: bool = False

    @property
    def alone(self) -> str:
        """The heading where there are no groups."""
        return self.flat or self.heading


@dataclass(frozen=True)
class Row:
    """Cells from left to right, one per column. muted: not a competitor, as a bound."""

    cells: tuple[Cell, ...]
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """name: short and unique in its report, for labels and links. caption: how to read it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str

    def groups(self) -> list[tuple[str, int]]:
        """(group heading, number of columns) from left to right; empty when no column has a group."""
        if not any(column.group for column in self.columns):
            return []
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans


def number(value: float | None, decimals: int = 3) -> str:
    """`value` for people; "–" where there is none. Five digits and more are written with a power."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    text = f"{value:.2e}" if size >= 10_000 and decimals else f"{value:.{0 if size >= 1000 else decimals}f}"
    # A minus of its own width; and never "−0.000".
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def with_interval(text: str, ends: tuple[float, float] | None, decimals: int = 3) -> str:
    """ "0.208 [0.190, 0.226]"; the text alone without an interval."""
    return f"{text} [{number(ends[0], decimals)}, {number(ends[1], decimals)}]" if ends else text


def digits(value: float) -> int:
    """How many decimals show three digits of `value`, at least 3 and at most 9."""
    if not math.isfinite(value) or value == 0:
        return 3
    return min(max(3, 2 - math.floor(math.log10(abs(value)))), 9)


def printable(text: str) -> str:
    """`text` without control characters: a name must not steer a terminal or break a line."""
    return "".join(ch if ch.isprintable() else "�" for ch in text)
