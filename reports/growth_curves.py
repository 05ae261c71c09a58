"""What a task costs against the classes seen, both logarithmic: linear growth is a slope of 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator

from cl_bench.reports.figures import AXES_INCHES, INCHES, WIDE_INCHES, legend, line_labels, styled
from cl_bench.reports.growth import COSTS, Cost, after_task, grows, seen
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.looks import GREY, Look

MOST_TICKS = 9
LEAST_RANGE = 5.0  # of a cost's axis, largest over least


def growth_curves(group: Group, look: Mapping[Line, Look]) -> Figure | None:
    """A panel per cost that was measured; None where classes do not grow, or nothing was."""
    if not grows(group):
        return None
    found = {cost: _series(group, cost) for cost in COSTS}
    found = {cost: lines for cost, lines in found.items() if lines}
    if not found:
        return None
    classes = np.array(seen(group.runs[0]))
    with styled():
        width = WIDE_INCHES if len(found) > 1 else INCHES
        figure = Figure(figsize=(width, AXES_INCHES), layout="constrained")
        panels = figure.subplots(1, len(found), squeeze=False)[0]
        labels = line_labels([line for line in group.lines if line.runs])
        for ax, (cost, lines) in zip(panels, found.items(), strict=True):
            for line, values in lines.items():
                ax.plot(classes, values, label=labels[line], **look[line])
            _dress(ax, classes, cost)
            _linear(ax, classes, lines)
        widest = max(found, key=lambda cost: len(found[cost]))
        legend(figure, panels[list(found).index(widest)])
    return figure


def _series(group: Group, cost: Cost) -> dict[Line, np.ndarray]:
    """The mean cost of each task, NaN where it is none, of the lines that have some."""
    found = {}
    for line in group.lines:
        series = [after_task(line, cost.key, t) for t in range(group.num_tasks)]
        values = np.array([s.mean if s is not None and s.mean > 0 else np.nan for s in series])
        if np.isfinite(values).sum() > 1:
            found[line] = values
    return found


def _linear(ax: Axes, classes: np.ndarray, lines: Mapping[Line, np.ndarray]) -> None:
    """Proportional growth, through the middle of what is drawn, which keeps its scale."""
    ratios = np.log(np.concatenate([values / classes for values in lines.values()]))
    middle = np.exp(np.nanmean(ratios))
    low, high = ax.get_ylim()
    wider = max(1.0, (LEAST_RANGE / (high / low)) ** 0.5)
    ax.set_ylim(low / wider, high * wider)
    look: Look = {"color": GREY, "linestyle": (0, (1, 1.5)), "linewidth": 0.9, "zorder": 1}
    ax.plot(classes, middle * classes, label="linear", **look)


def _ticks(classes: np.ndarray) -> list[int]:
    """Numbers of classes far enough apart for their labels."""
    shown = [int(classes[-1])]
    for value in sorted(set(classes.tolist()), reverse=True):
        if shown[-1] / value >= (classes[-1] / classes[0]) ** (1 / MOST_TICKS):
            shown.append(value)
    return shown


def _dress(ax: Axes, classes: np.ndarray, cost: Cost) -> None:
    ax.grid(color="#e3e3e3", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(FixedLocator(_ticks(classes)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,g}" if value < 1e5 else f"{value:.0e}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("classes seen after the task (log scale)")
    unit = f" ({cost.unit})" if cost.unit else ""
    ax.set_ylabel(f"{cost.title}{unit}")
