"""What generators made of the data, generation by generation: densities in the plane, or images.

A row for each run, real data on the left: the figure by which the papers show that a loop forgets.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from torch import Tensor

from cl_bench.config import Config, resolve
from cl_bench.finished_run import Run
from cl_bench.progress import Progress
from cl_bench.reports.cells import printable
from cl_bench.reports.figures import styled

GENERATIONS = 5  # columns besides the real one
SIDE_INCHES, LABEL_INCHES, TITLE_INCHES = 1.0, 1.1, 0.3
BINS, KERNEL, MARGIN = 100, 1.5, 0.15  # a kernel density estimate: its standard deviation in bins
MOSAIC = 6  # images a side


def snapshots(rows: list[tuple[str, Run]]) -> Figure | None:
    """rows: label and finished run, all of one shape of data. None where it cannot be seen in a picture."""
    rows = [(label, run) for label, run in rows if _visible(run)]
    if not rows:
        return None
    tasks = max(run.num_tasks for _, run in rows)
    chosen = sorted({round(t) for t in np.linspace(0, tasks - 1, min(GENERATIONS, tasks))})
    size = (LABEL_INCHES + SIDE_INCHES * (1 + len(chosen)), TITLE_INCHES + SIDE_INCHES * len(rows))
    with styled():
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(len(rows), 1 + len(chosen), squeeze=False)
        for i, (label, run) in enumerate(rows):
            real = _real(run)
            extent = _extent(real) if real.dim() == 2 else None
            shown = [real, *(_samples(run, t) for t in chosen)]
            for ax, x in zip(axes[i], shown, strict=True):
                _draw(ax, x, extent)
            axes[i][0].set_ylabel(printable(label), fontsize=7, rotation=0, ha="right", va="center")
        titles = ["real", *(f"generation {t + 1}" for t in chosen)]
        for ax, title in zip(axes[0], titles, strict=True):
            ax.set_title(title, fontsize=7)
    return figure


def _visible(run: Run) -> bool:
    spec = run.spec
    seen = (spec.modality == "vector" and spec.shape == (2,)) or spec.modality == "image"
    return seen and run.stationary and _samples(run, run.num_tasks - 1) is not None


def _real(run: Run) -> Tensor:
    """Real test data of the run's stream."""
    resolved = resolve(Config.from_dict(run.manifest["config"]).request(), Progress(quiet=True))
    stream = resolved.new_benchmark().build(resolved.config.order_seed, resolved.config.limit)
    return torch.cat([test.x for test in stream.test])


def _samples(run: Run, task: int) -> Tensor | None:
    """Those that were judged, or, where judges needed none, those that were replayed."""
    if task >= run.num_tasks:
        return None
    found = run.samples(task) or run.replay(task)
    return None if found is None else found.x


def _extent(real: Tensor) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of a square around real points (n, 2), with a margin."""
    low, high = real.min(0).values.double(), real.max(0).values.double()
    centre, half = (low + high) / 2, (high - low).max() / 2 * (1 + 2 * MARGIN)
    (x, y), r = centre.tolist(), half.item()
    return x - r, x + r, y - r, y + r


def _draw(ax: Axes, x: Tensor | None, extent: tuple[float, float, float, float] | None) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(extent is not None)
    ax.spines[:].set_color("#cccccc")
    if x is None:
        return
    if extent is None:
        ax.imshow(_mosaic(x), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        return
    left, right, bottom, top = extent
    counts, _, _ = np.histogram2d(
        x[:, 0].numpy(), x[:, 1].numpy(), BINS, range=((left, right), (bottom, top))
    )
    density = gaussian_filter(counts.T / len(x), KERNEL, mode="constant")
    # Square roots, so that thin regions are seen beside dense ones.
    ax.imshow(np.sqrt(density), extent=extent, origin="lower", cmap="Blues", interpolation="bilinear")


def _mosaic(x: Tensor) -> np.ndarray:
    """The first images (n, c, h, w) uint8 side by side, six by six, as (H, W) or (H, W, 3)."""
    n, c, h, w = x.shape
    side = min(MOSAIC, int(n**0.5))
    grid = x[: side * side].reshape(side, side, c, h, w).permute(0, 3, 1, 4, 2).reshape(side * h, side * w, c)
    return np.asarray(grid.squeeze(-1))
