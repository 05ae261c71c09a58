"""Pictures of densities in the plane: real beside generated, at one scale.

A Gaussian kernel density estimate on a grid (a histogram blurred by the kernel, B. W. Silverman 1982), with
the same bandwidth on both sides: half the median distance of a real sample to the ⌈√n⌉-th nearest other one,
which follows the width of the modes and not, as rules for one Gaussian do, the distance between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement
from cl_bench.stream import TaskStream

CELLS, MARGIN = 240, 0.08
LEVELS = 4


@register_evaluator("density")
class Density(Evaluator):
    """Density of data in the plane per task (density.png): real beside generated, at one scale."""

    needs = frozenset({"samples"})

    @classmethod
    def fits(cls, stream: TaskStream, generative: bool) -> bool:
        spec = stream.spec
        return super().fits(stream, generative) and spec.modality == "vector" and math.prod(spec.shape) == 2

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        sides = evidence.sides
        real, replay = (side.x.flatten(1).double().numpy() for side in (sides["real"], sides["replay"]))
        if len(real) > 2 and len(replay):
            draw(evidence, real, replay)
        yield from ()


@dataclass(frozen=True)
class Grid:
    """low, high (2,): its corners. bandwidth: standard deviation of the kernel. All in the data's units."""

    low: np.ndarray
    high: np.ndarray
    bandwidth: float

    @classmethod
    def around(cls, real: np.ndarray) -> Grid:
        """A square grid around all of `real` (n, 2)."""
        from scipy.spatial import cKDTree

        neighbours = math.ceil(math.sqrt(len(real)))
        distances, _ = cKDTree(real).query(real, k=[min(neighbours, len(real) - 1) + 1])
        middle = (real.min(0) + real.max(0)) / 2
        half = (real.max(0) - real.min(0)).max() * (0.5 + MARGIN)
        half = half if half > 0 else 1.0
        # Nothing narrower than a cell can be drawn.
        bandwidth = max(float(np.median(distances)) / 2, 2 * half / CELLS)
        return cls(middle - half, middle + half, bandwidth)

    def density(self, x: np.ndarray) -> np.ndarray:
        """(CELLS, CELLS) of x (n, 2), rows along the second axis; it integrates to the share of x inside,
        but for what the kernel carries over the edge."""
        from scipy.ndimage import gaussian_filter

        ranges = list(zip(self.low, self.high, strict=True))
        counts, _, _ = np.histogram2d(x[:, 0], x[:, 1], bins=CELLS, range=ranges)
        cell = (self.high[0] - self.low[0]) / CELLS
        return gaussian_filter(counts.T, self.bandwidth / cell, mode="constant") / (len(x) * cell**2)

    def outside(self, x: np.ndarray) -> float:
        """Share of x (n, 2) beyond the grid, 0…1."""
        return float(((x < self.low) | (x > self.high)).any(1).mean())


def draw(evidence: Evidence, real: np.ndarray, replay: np.ndarray) -> None:
    from matplotlib.figure import Figure

    grid = Grid.around(real)
    densities = [grid.density(x) for x in (real, replay)]
    top = densities[0].max()
    figure = Figure(figsize=(7.2, 3.5), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = (f"real (test), n = {len(real):,}", f"generation {evidence.after_task + 1}, n = {len(replay):,}")
    image: Any = None
    for ax, title, density in zip(axes, titles, densities, strict=True):
        extent = (grid.low[0], grid.high[0], grid.low[1], grid.high[1])
        image = ax.imshow(
            density, extent=extent, origin="lower", cmap="Blues", vmin=0, vmax=top, interpolation="bilinear"
        )
        # The same levels on both sides, powers of two below the real side's top.
        levels = top * 2.0 ** -np.arange(LEVELS, 0, -1)
        ax.contour(density, levels, extent=extent, colors="0.25", linewidths=0.5, alpha=0.7)
        ax.set_title(title, fontsize=9)
        ax.set_xlabel("$x_1$", fontsize=9)
        ax.tick_params(labelsize=8)
    axes[0].set_ylabel("$x_2$", fontsize=9)
    beyond = grid.outside(replay)
    if beyond > 0:
        note = f"{100 * beyond:.2g} % outside"
        axes[1].text(0.98, 0.02, note, transform=axes[1].transAxes, ha="right", fontsize=8)
    narrower = densities[1].max() > top
    bar = figure.colorbar(image, ax=axes, extend="max" if narrower else "neither", fraction=0.05, pad=0.02)
    bar.set_label(f"density (KDE, bandwidth {grid.bandwidth:.2g})", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    figure.savefig(evidence.folder / "density.png")
