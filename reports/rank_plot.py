"""Mean ranks as dots with intervals, best on top."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from matplotlib.figure import Figure

from cl_bench.reports.cells import printable
from cl_bench.reports.figures import INCHES, styled
from cl_bench.reports.lines import Line
from cl_bench.reports.looks import Look
from cl_bench.reports.ranks import Ranks

ROW_INCHES, AROUND_INCHES = 0.22, 0.55
MOST_TICKS = 9
NAME_CHARACTERS = 24  # on a line, so that half of the width is left to the ranks


def rank_plot(ranks: Ranks, look: Mapping[Line, Look]) -> Figure:
    """A row per strategy: the mean of its ranks, and as small dots on a line the ranks themselves."""
    names, over = ranks.names, ranks.over
    labels = [textwrap.wrap(printable(name), NAME_CHARACTERS, break_on_hyphens=False) for name in names]
    tallest = max(1, *(0.7 * len(label) for label in labels))
    height = AROUND_INCHES + ROW_INCHES * tallest * len(names)
    with styled():
        figure = Figure(figsize=(INCHES, height), layout="constrained")
        ax = figure.subplots()
        ax.grid(axis="x", color="#e3e3e3", linewidth=0.5)
        ax.set_axisbelow(True)
        for row, name in enumerate(names):
            style, found = look[ranks.lines[name]], over[name]
            units = ranks.units[name]
            ax.scatter(units, [row] * len(units), s=8, color=style["color"], linewidth=0, zorder=2)
            ax.plot([min(units), max(units)], [row, row], color=style["color"], linewidth=1.1, zorder=2)
            ax.plot(found.mean, row, color=style["color"], marker=style["marker"], markersize=5.5, zorder=3)
        ax.set_yticks(range(len(names)), ["\n".join(label) for label in labels])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        # Room for half a marker at either end.
        room = 0.2 + 0.03 * len(names)
        ax.set_xlim(1 - room, len(names) + room)
        ax.set_xticks(range(1, len(names) + 1, 1 + len(names) // MOST_TICKS))
        ax.set_xlabel("mean rank (1 is best)")
        ax.spines["left"].set_visible(False)
    return figure
