"""The distance of each real class to each replayed one after each task, as `label-distances` left it.

Small maps side by side, at one scale: what drifts is seen from one to the next.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cl_bench.reports import tensors
from cl_bench.reports.cells import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "label_distances.safetensors"
NAMED, LONG = 10, 8  # classes, up to which each has its name at the axis, and characters of it
COLUMNS = 5
INCHES, ABOVE, BAR, DPI = 1.75, 0.45, 0.8, 220


@dataclass(frozen=True)
class LabelMatrix:
    """classes (k,) labels; distances (k, k), real by replayed class, NaN where no replay is left; floor (k,),
    of a class to other real data. Squared feature units, all of them. about: extractor and sizes."""

    classes: np.ndarray
    distances: np.ndarray
    floor: np.ndarray
    about: Mapping[str, str]

    @property
    def own(self) -> float:
        """Mean distance of a class to its own replay; NaN where none is left."""
        return _mean(self.distances.diagonal())

    @property
    def nearest(self) -> int:
        """Real classes whose own replay is the nearest of all replayed classes."""
        rows = np.where(np.isnan(self.distances), np.inf, self.distances)
        own = rows.diagonal()
        return int((np.isfinite(own) & (own <= rows.min(axis=1, initial=np.inf))).sum())


def read(folder: Path) -> LabelMatrix | None:
    """The matrix in a task's folder; None where there is none or the file is not whole."""
    found = tensors.read(folder / FILE)
    if found is None or not {"classes", "distances", "floor"} <= set(found[0]):
        return None
    classes, distances, floor = (found[0][name] for name in ("classes", "distances", "floor"))
    k = len(classes)
    if not k or distances.shape != (k, k) or floor.shape != (k,) or np.isinf(distances).any():
        return None
    return LabelMatrix(classes.astype(int), distances.astype(float), floor.astype(float), found[1])


def caption(found: Mapping[int, LabelMatrix], word: str) -> str:
    """How to read the maps. word: what tasks are called."""
    last = found[max(found)]
    k, lost = len(last.classes), int(np.isnan(last.distances.diagonal()).sum())
    gone = f" Blank columns: {lost} classes of which no replay is left." if lost else ""
    return (
        "Label distances: W₂² between Gaussian fits of the features of each real class (rows) and each "
        "replayed one (columns), in squared feature units; classes in the order learned, one linear scale "
        "from 0. Above each map: mean of its diagonal, and in brackets of other real data at the same n. "
        f"Features: {last.about.get('extractor', 'unnamed extractor')}. After {word} {max(found) + 1}: n = "
        f"{last.about.get('real', '?')} real (test) and {last.about.get('replay', '?')} replayed samples; "
        f"{last.nearest} of {k} classes are nearest to their own replay.{gone}"
    )


def maps(found: Mapping[int, LabelMatrix], class_names: Sequence[str], word: str) -> Figure | None:
    """A map for each task, by its index; None where no distance is a number."""
    from matplotlib.figure import Figure

    from cl_bench.reports.figures import styled

    known = [one.distances for one in found.values() if np.isfinite(one.distances).any()]
    if not known:
        return None
    top = max(float(np.nanmax(distances)) for distances in known) or 1.0
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    with styled():
        figure = Figure(figsize=(INCHES * columns + BAR, (INCHES + ABOVE) * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.flat[len(found) :]:
            ax.set_visible(False)
        for ax, (t, one) in zip(axes.flat, sorted(found.items()), strict=False):
            image = ax.imshow(
                np.ma.masked_invalid(one.distances), cmap="cividis", vmin=0, vmax=top, aspect="auto"
            )
            ax.set_title(f"after {word} {t + 1}\n{one.own:.3g} ({_mean(one.floor):.3g})", fontsize=7)
            ticks = range(len(one.classes)) if len(one.classes) <= NAMED else ()
            names = [_name(class_names, one.classes[i]) for i in ticks]
            turned = 90 if any(len(name) > 2 for name in names) else 0
            ax.set_xticks(ticks, names, rotation=turned, fontsize=6)
            ax.set_yticks(ticks, names, fontsize=6)
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
        figure.supxlabel("replayed class", fontsize=7)
        figure.supylabel("real class", fontsize=7)
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, format="%g")
        bar.set_label("W₂², squared feature units")
        bar.outline.set_visible(False)
    return figure


def png(figure: Figure) -> bytes:
    """The figure for a page, which alone has it. The same numbers give the same bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from cl_bench.reports.figures import styled

    buffer = io.BytesIO()
    with styled():
        FigureCanvasAgg(figure).print_figure(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _name(class_names: Sequence[str], c: int) -> str:
    name = printable(str(class_names[c])) if c < len(class_names) else str(c)
    return name if len(name) <= LONG else f"{name[: LONG - 1]}…"


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
