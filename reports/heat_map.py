"""How much synthetic data × generation: a metric as a map, where runs differ in their mix alone.

An open question of A. Zverev, A. S. Koepke, J. Henriques 2025 (arXiv 2512.11867): at which ratio of real to
synthetic data, and after how many generations, does training on generated data degrade?
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from cl_bench.reports import over_seeds
from cl_bench.reports.cells import printable
from cl_bench.reports.definitions import Definition
from cl_bench.reports.figures import INCHES, styled
from cl_bench.reports.lines import Group, Line

LEAST = 4  # mixes, for a map to say more than lines
ROW_INCHES, AROUND_INCHES = 0.22, 0.75
ANNOTATED_COLUMNS = 6
FAR = 8  # ratio of the largest value to the least, above which colours are logarithmic


@dataclass(frozen=True)
class Ladder:
    """Lines by how much synthetic data they have, ascending. what: in which measure."""

    what: str
    lines: dict[float, Line]

    @property
    def texts(self) -> list[str]:
        return ["∞ (no real data)" if math.isinf(value) else f"{value:g}" for value in self.lines]


def ladder(group: Group) -> Ladder | None:
    """The lines that are mixes: by λ where all of them keep all real data, else by their share of synthetic
    data. Plain bootstrapping is λ = ∞, share 1. None for fewer than four."""
    mixed = [line for line in group.lines if line.strategy == "mixed" and line.runs]
    # Runs of older versions may not say.
    mixed = [line for line in mixed if {"real", "lambda"} <= set(line.config["strategy_options"])]
    every = all(line.config["strategy_options"]["real"] == 1 for line in mixed)
    key, no_real = ("lambda", math.inf) if every else ("synthetic_fraction", 1.0)
    found = {float(line.config["strategy_options"][key]): line for line in reversed(mixed)}
    bootstrap = [line for line in group.lines if line.strategy == "bootstrap" and line.runs]
    if bootstrap:
        found[no_real] = bootstrap[0]
    if len(found) < LEAST:
        return None
    what = "λ: synthetic per real sample" if every else "share of synthetic data"
    return Ladder(what, dict(sorted(found.items())))


def heat_map(group: Group, definition: Definition) -> Figure | None:
    """`definition`, mean over seeds, by mix (rows) and task (columns); None where mixes are few or numbers
    none."""
    mixes, tasks = ladder(group), group.num_tasks
    if mixes is None:
        return None
    values = np.full((len(mixes.lines), tasks), np.nan)
    for i, line in enumerate(mixes.lines.values()):
        for t in range(tasks):
            found = over_seeds.after(line, definition.name, t)
            values[i, t] = np.nan if found is None else found.mean
    if not np.isfinite(values).any():
        return None
    low, high = np.nanmin(values), np.nanmax(values)
    norm = LogNorm(low, high) if 0 < low * FAR < high else Normalize(low, high)
    with styled():
        figure = Figure(figsize=(INCHES, AROUND_INCHES + ROW_INCHES * len(values)), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(
            np.ma.masked_invalid(values),
            cmap="cividis",
            aspect="auto",
            norm=norm,
            origin="lower",
            extent=(0.5, tasks + 0.5, -0.5, len(values) - 0.5),
        )
        if tasks <= ANNOTATED_COLUMNS:
            for (i, t), value in np.ndenumerate(values):
                if np.isfinite(value):
                    colour = "black" if norm(value) > 0.55 else "white"
                    ax.text(t + 1, i, f"{value:.2g}", ha="center", va="center", color=colour, fontsize=7)
        ax.set_yticks(range(len(values)), mixes.texts)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set_xlabel("after generation" if group.runs[0].stationary else "after task")
        ax.set_ylabel(mixes.what)
        bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03, format="%g")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        if isinstance(norm, LogNorm):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.set_label(printable(definition.heading))
        bar.outline.set_visible(False)
    return figure
