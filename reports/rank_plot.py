"""Mean ranks as dots with intervals, best on top."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cl_bench.reports.cells import printable
from cl_bench.reports.figures import INCHES, styled
from cl_bench.reports.lines import Line
from cl_bench.reports.looks import Look
from cl_bench.reports.ranks import Ranks

ROW_INCHES, AROUND_INCHES = 0.22, 0.55


def rank_plot(ranks: Ranks, look: Mapping[Line, Look]) -> Figure:
    """A row per strategy: the mean of its ranks, and as small dots on a line the ranks themselves."""
    names, over = ranks.names, ranks.over
    with styled():
        figure = Figure(figsize=(INCHES, AROUND_INCHES + ROW_INCHES * len(names)), layout="constrained")
        ax = figure.subplots()
        ax.grid(axis="x", color="#e3e3e3", linewidth=0.5)
        ax.set_axisbelow(True)
        for row, name in enumerate(names):
            style, found = look[ranks.lines[name]], over[name]
            units = ranks.units[name]
            ax.scatter(units, [row] * len(units), s=8, color=style["color"], linewidth=0, zorder=2)
            ax.plot([min(units), max(units)], [row, row], color=style["color"], linewidth=1.1, zorder=2)
            ax.plot(found.mean, row, color=style["color"], marker=style["marker"], markersize=5.5, zorder=3)
        ax.set_yticks(range(len(names)), [printable(name) for name in names])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlim(0.8, len(names) + 0.2)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        ax.set_xlabel("mean rank (1 is best)")
        ax.spines["left"].set_visible(False)
    return figure
