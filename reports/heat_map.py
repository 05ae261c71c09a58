"""How much synthetic data × generation: a metric as a map, where runs differ in their mix alone.

An open question of A. Zverev, A. S. Koepke, J. Henriques 2025 (arXiv 2512.11867): at which ratio of real to
synthetic data, and after how many generations, does training on generated data degrade?
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from cl_bench.reports import over_seeds
from cl_bench.reports.cells import printable
from cl_bench.reports.definitions import Definition
from cl_bench.reports.figures import INCHES, styled
from cl_bench.reports.lines import Group, Line

LEAST = 4  # mixes, for a map to say more than lines
ROW_INCHES, AROUND_INCHES = 0.22, 0.75
LEAST_INCHES = 1.7  # of the map, as high as the name of its rows is long
ANNOTATED_COLUMNS = 6
FAR = 8  # ratio of the largest value to the least, above which colours are logarithmic
CLOSE = 2  # the same ratio, below which numbers need three figures


@dataclass(frozen=True)
class Ladder:
    """Lines of one generator by how much synthetic data they have, ascending. what: in which measure."""

    generator: str
    what: str
    lines: dict[float, Line]

    @property
    def texts(self) -> list[str]:
        return ["∞ (no real data)" if math.isinf(value) else f"{value:g}" for value in self.lines]


def ladders(group: Group) -> list[Ladder]:
    """One for each generator, by its name; none for one with fewer than four mixes."""
    by_generator: dict[str, list[Line]] = {}
    for line in group.lines:
        if line.strategy in ("mixed", "bootstrap") and line.runs:
            by_generator.setdefault(line.config["generator"] or "", []).append(line)
    found = (_ladder(name, lines) for name, lines in sorted(by_generator.items()))
    return [ladder for ladder in found if len(ladder.lines) >= LEAST]


def _ladder(generator: str, lines: list[Line]) -> Ladder:
    """Mixes by λ where all of them keep all real data, else by their share of synthetic data. Plain
    bootstrapping is λ = ∞, share 1."""
    # Runs of older versions may not say.
    mixed = [
        line
        for line in lines
        if line.strategy == "mixed" and {"real", "lambda"} <= set(line.config["strategy_options"])
    ]
    every = all(line.config["strategy_options"]["real"] == 1 for line in mixed)
    key, no_real = ("lambda", math.inf) if every else ("synthetic_fraction", 1.0)
    found = {float(line.config["strategy_options"][key]): line for line in reversed(mixed)}
    bootstrap = [line for line in lines if line.strategy == "bootstrap"]
    if bootstrap:
        found[no_real] = bootstrap[0]
    what = "λ: synthetic per real sample" if every else "share of synthetic data"
    return Ladder(generator, what, dict(sorted(found.items())))


def heat_map(group: Group, definition: Definition) -> Figure | None:
    """`definition`, mean over seeds, by mix (rows) and task (columns), a map for each generator and one scale
    for all; None where mixes are few or numbers none."""
    found = [(mixes, _values(mixes, definition.name, group.num_tasks)) for mixes in ladders(group)]
    found = [(mixes, values) for mixes, values in found if np.isfinite(values).any()]
    if not found:
        return None
    everything = np.concatenate([values.flatten() for _, values in found])
    low, high = np.nanmin(everything), np.nanmax(everything)
    norm = LogNorm(low, high) if 0 < low * FAR < high else Normalize(low, high)
    inches = [max(ROW_INCHES * len(values), LEAST_INCHES) for _, values in found]
    with styled():
        figure = Figure(figsize=(INCHES, AROUND_INCHES + sum(inches)), layout="constrained")
        all_axes = figure.subplots(len(found), sharex=True, squeeze=False, height_ratios=inches)[:, 0]
        for ax, (mixes, values) in zip(all_axes, found, strict=True):
            image = _draw(ax, mixes, values, norm)
            if len(found) > 1:
                ax.set_title(mixes.generator)
        all_axes[-1].set_xlabel(f"after {group.word}")
        bar = figure.colorbar(image, ax=all_axes, fraction=0.05, pad=0.03, format="%g")
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        if isinstance(norm, LogNorm):
            bar.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        bar.set_label(printable(definition.heading))
        bar.outline.set_visible(False)
    return figure


def _values(mixes: Ladder, metric: str, tasks: int) -> np.ndarray:
    """Means over seeds, (mixes, tasks), NaN where there is none."""
    found = (over_seeds.after(line, metric, t) for line in mixes.lines.values() for t in range(tasks))
    means = [math.nan if one is None else one.mean for one in found]
    return np.array(means).reshape(len(mixes.lines), tasks)


def _draw(ax: Axes, mixes: Ladder, values: np.ndarray, norm: Normalize) -> AxesImage:
    tasks = values.shape[1]
    image = ax.imshow(
        np.ma.masked_invalid(values),
        cmap="cividis",
        aspect="auto",
        norm=norm,
        origin="lower",
        extent=(0.5, tasks + 0.5, -0.5, len(values) - 0.5),
    )
    if tasks <= ANNOTATED_COLUMNS:
        low, high = np.nanmin(values), np.nanmax(values)
        figures = 3 if 0 < high < CLOSE * low else 2
        for (i, t), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "black" if norm(value) > 0.55 else "white"
                ax.text(t + 1, i, _short(value, figures), ha="center", va="center", color=colour, fontsize=7)
    ax.set_yticks(range(len(values)), mixes.texts)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_ylabel(mixes.what)
    return image


def _short(value: float, figures: int) -> str:
    """ "0.20", "1.6", "12" with two figures."""
    return f"{value:#.{figures}g}".rstrip(".")
