"""How each line looks, in every figure of a report alike: one colour, marker and dash per strategy.

Colours are Okabe and Ito's, told apart by colour-blind readers; marker and dash differ too, for grey print.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cl_bench.reports.across import by_name
from cl_bench.reports.lines import LOWER, Group, Line

# Okabe and Ito 2008 without its yellow, which is too light for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
GREY, DARK = "#767676", "#333333"

Look = dict[str, Any]


def looks(groups: Sequence[Group]) -> dict[Line, Look]:
    """The look of every line of `groups`, as matplotlib's `plot` takes it: the same for one name on all
    benchmarks. Bounds are grey and lie under the others."""
    found: dict[Line, Look] = {}
    index: dict[str, int] = {}
    for named in by_name(groups):
        drawn = Counter[str]()
        for name, line in named.items():
            if line.role:
                found[line] = _bound(line.role == LOWER, drawn[line.role])
                drawn[line.role] += 1
            else:
                found[line] = _competitor(index.setdefault(name, len(index)))
    return found


def _competitor(index: int) -> Look:
    again, colour = divmod(index, len(PALETTE))
    return {
        "color": PALETTE[colour],
        # A colour that comes back has another marker, for figures without lines.
        "marker": MARKERS[(colour + again) % len(MARKERS)],
        "linestyle": DASHES[again % len(DASHES)],
        "zorder": 3,
    }


def _bound(lower: bool, index: int) -> Look:
    colour = GREY if lower else DARK
    return {
        "color": colour,
        "linestyle": (0, (4, 2)) if lower else (0, (6, 1.5, 1, 1.5)),
        "marker": "v" if lower else "^",
        "markerfacecolor": "white" if index == 0 else colour,
        "zorder": 2,
    }
