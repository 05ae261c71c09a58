"""Figures as wide as one column of a paper: accuracy matrix, drift of one run, curves of several; and how a
figure becomes a file."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from cl_bench.finished_run import Run
from cl_bench.reports import numbers, over_seeds
from cl_bench.reports.cells import printable
from cl_bench.reports.columns import CAS, MATRIX, ideal
from cl_bench.reports.definitions import Definition
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.looks import GREY, MARKERS, PALETTE, Look, looks
from cl_bench.rows import ENDS

INCHES, WIDE_INCHES, DPI = 3.3, 6.9, 300  # one column of a paper, and two
PAGE_SCALE, PAGE_COLOURS = 0.7, 128
AXES_INCHES, LEGEND_ROW_INCHES = 2.1, 0.165
ANNOTATED_TASKS = 10
LOG_ABOVE = 4
MOST_MARKERS = 20
FEW_LINES = 4  # more bands than these would hide each other
MANY_LINES, TALL_INCHES = 8, 3.4  # more lines than these need so much height
LEGEND_CHARACTERS = 46

_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Type 42 keeps text as text; journals refuse type 3. In SVG, text is drawn: the reader's machine may lack
    # the font. The salt makes its ids the same every time.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "cl-bench",
    # A name with "$" in it is a name, not a formula.
    "text.parse_math": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Inside, figures look like those of this module."""
    # A sign that our font lacks becomes a box; the run is not at fault, so nothing is said.
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def accuracy_matrix(run: Run, definition: Definition) -> Figure | None:
    """Heat map: accuracy after each task (rows) on each task (columns); None before the first is finished."""
    values = numbers.per_task(run, MATRIX).to_numpy(dtype=float)
    if not np.isfinite(values).any():
        return None
    tasks = run.num_tasks
    matrix = np.full((tasks, tasks), np.nan)
    matrix[: len(values)] = values
    with styled():
        figure = Figure(figsize=(INCHES, 0.85 * INCHES), layout="constrained")
        ax = figure.subplots()
        image = ax.imshow(
            np.ma.masked_invalid(matrix),
            cmap="cividis",
            aspect="auto",
            vmin=0,
            vmax=1,
            extent=(0.5, tasks + 0.5, tasks + 0.5, 0.5),
        )
        for spine in ax.spines.values():
            spine.set_visible(False)
        if tasks <= ANNOTATED_TASKS:
            for (t, i), value in np.ndenumerate(matrix):
                if np.isfinite(value):
                    colour = "black" if value > 0.55 else "white"
                    ax.text(i + 1, t + 1, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
        ax.tick_params(length=0)
        ax.set_xlabel("on task")
        ax.set_ylabel(f"after {run.word}")
        bar = figure.colorbar(image, ax=ax, fraction=0.05, pad=0.03)
        bar.set_label(printable(definition.heading))
        bar.outline.set_visible(False)
    return figure


def drift(run: Run, definition: Definition) -> Figure | None:
    """A distance over all seen classes after each task, with its floor; None without numbers."""
    overall = numbers.overall(run)
    if definition.name not in overall.columns or overall[definition.name].isna().all():
        return None
    with styled():
        figure, ax = axes(definition, run.num_tasks, f"after {run.word}")
        x = overall.index.to_numpy() + 1
        values = overall[definition.name].to_numpy(dtype=float)
        ax.plot(x, values, color=PALETTE[0], marker=MARKERS[0], label="real vs replay")
        ends = [f"{definition.name}:{word}" for word in ENDS]
        if set(ends) <= set(overall.columns):
            low, high = (overall[end].to_numpy(dtype=float) for end in ends)
            ax.fill_between(x, low, high, color=PALETTE[0], alpha=0.18, linewidth=0, label="95 % interval")
        floor = f"{definition.name}:floor"
        if floor in overall.columns:
            level = overall[floor].to_numpy(dtype=float)
            ax.plot(x, level, color=GREY, linestyle=(0, (2, 1.5)), label="floor: real vs real")
        ax.set_ylim(bottom=0)
        legend(figure, ax)
    return figure


def curves(
    group: Group,
    definition: Definition,
    theory: Mapping[str, Sequence[float]] = MappingProxyType({}),
    look: Mapping[Line, Look] | None = None,
) -> Figure | None:
    """`definition` after each task, a line per configuration: mean over seeds, band ± std; None without.

    theory: name of a line to what theory gives after each task, drawn over it. look: of each line, where
    other figures show the same lines.
    """
    look = look or looks([group])
    known = [
        (line, [over_seeds.after(line, definition.name, t) for t in range(group.num_tasks)])
        for line in group.lines
        if line.runs
    ]
    known = [(line, found) for line, found in known if any(found)]
    if not known:
        return None
    beside = {str(name) for run in group.runs for name in numbers.overall(run).columns}
    name, word = ideal(definition.name, beside) or ("", "")
    floors = [over_seeds.mean_over_runs(group, name, t) for t in range(group.num_tasks)]
    with styled():
        inches = AXES_INCHES if len(known) <= MANY_LINES else TALL_INCHES
        figure, ax = axes(definition, group.num_tasks, f"after {group.word}", inches)
        x = np.arange(group.num_tasks) + 1
        marked = max(1, group.num_tasks // MOST_MARKERS)
        labels = line_labels([line for line, _ in known])
        alpha = 0.18 if len(known) <= FEW_LINES else 0.09
        for line, found in known:
            mean = np.array([s.mean if s else np.nan for s in found])
            std = np.array([s.std if s and s.std is not None else np.nan for s in found])
            ax.plot(x, mean, label=labels[line], markevery=marked, **look[line])
            ax.fill_between(x, mean - std, mean + std, color=look[line]["color"], alpha=alpha, linewidth=0)
        for i, values in enumerate(theory[line.name] for line, _ in known if line.name in theory):
            label = "" if i else "closed form"
            ax.plot(
                x[: len(values)],
                values,
                color="black",
                linewidth=0.8,
                linestyle=(0, (1, 1.5)),
                zorder=4,
                label=label,
            )
        if any(value is not None for value in floors):
            level = np.array([np.nan if value is None else value for value in floors])
            text = "floor: real vs real" if word == "floor" else "real data"
            ax.plot(x, level, color=GREY, linestyle=(0, (1, 1.2)), label=text)
        means = [s.mean for _, found in known for s in found if s]
        if definition.name == CAS or definition.name.startswith("average_accuracy"):
            ax.set_ylim(0, 1.02)
        elif any(value is not None for value in floors):
            _scale(ax, definition, means)
        else:
            _logarithmic(ax, definition, means)
        legend(figure, ax, by_end=len(known) > FEW_LINES)
    return figure


def line_labels(lines: Sequence[Line]) -> dict[Line, str]:
    """What the legend calls each line: with its generator only where the name is another one's too."""
    names = [line.name for line in lines]
    return {line: _label(line, names.count(line.name) > 1) for line in lines}


def files(figure: Figure) -> dict[str, bytes]:
    """The figure as PNG of 300 dots an inch, PDF and SVG, by ending."""
    FigureCanvasAgg(figure)
    found = {}
    with styled():
        for kind, metadata in _METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
            found[kind] = buffer.getvalue()
            # Laid out once, the same in all of them.
            figure.set_layout_engine("none")
    return found


def for_page(png: bytes) -> bytes:
    """The same picture smaller and in few colours: a fifth of the bytes, for a page of many."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        width, height = (round(PAGE_SCALE * side) for side in picture.size)
        small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    few = small.quantize(PAGE_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


# Without a date, the same numbers give the same file.
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def axes(definition: Definition, tasks: int, along: str, inches: float = AXES_INCHES) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(INCHES, inches), layout="constrained")
    ax = figure.subplots()
    ax.grid(axis="y", color="#e3e3e3", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlim(0.8, tasks + 0.2)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
    ax.set_xlabel(along)
    ax.set_ylabel(printable(definition.heading))
    return figure, ax


def _scale(ax: Axes, definition: Definition, values: list[float]) -> None:
    """From 0, or logarithmic, and said so, where a bound would press all others onto the floor."""
    if not _logarithmic(ax, definition, values):
        ax.set_ylim(bottom=0)


def _logarithmic(ax: Axes, definition: Definition, values: list[float]) -> bool:
    """Make it logarithmic, and say so, where values are positive and far apart; whether that was done."""
    if min(values) <= 0 or max(values) < LOG_ABOVE * min(values):
        return False
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel(printable(f"{definition.heading} (log scale)"))
    return True


def _label(line: Line, with_generator: bool) -> str:
    parts = [line.name, f"({line.role})" if line.role else ""]
    if with_generator and line.generator:
        parts.append(f"· {line.generator}")
    return printable(" ".join(part for part in parts if part))


def legend(figure: Figure, ax: Axes, by_end: bool = False) -> None:
    """Below the axes, which keep their height: in columns as far as they fit, long names on several lines.

    by_end: in the order of the lines' last values, the highest first, for eyes that go from line to name."""
    handles, labels = ax.get_legend_handles_labels()
    if by_end:
        place = np.argsort([-last_value(handle) for handle in handles], kind="stable")
        handles, labels = [handles[i] for i in place], [labels[i] for i in place]
    characters = round(LEGEND_CHARACTERS * figure.get_figwidth() / INCHES)
    columns = min(max(1, characters // (max(map(len, labels)) + 4)), 4, len(labels))
    labels = ["\n".join(textwrap.wrap(label, LEGEND_CHARACTERS, break_on_hyphens=False)) for label in labels]
    rows = -(-sum(label.count("\n") + 1 for label in labels) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW_INCHES * rows)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
        borderpad=0,
    )


def last_value(line: Any) -> float:
    """Of a Line2D; −∞ where it is empty."""
    values = np.asarray(line.get_ydata(), dtype=float)
    return float(values[np.isfinite(values)][-1]) if np.isfinite(values).any() else -np.inf
