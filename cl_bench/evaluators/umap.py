"""UMAP of real and replayed samples in features, those of the first extractor.

L. McInnes, J. Healy, J. Melville, "UMAP", 2018 (arXiv 1802.03426); umap-learn with 15 neighbours and a
minimum distance of 0.4, seeded, fitted on real and replayed samples together.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import torch

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement
from cl_bench.stream import TaskStream

SEED, NEIGHBOURS, MIN_DISTANCE = 0, 15, 0.4


@register_evaluator("umap")
class UMAP(Evaluator):
    """UMAP of real vs replay features per task (umap.png)."""

    needs = frozenset({"samples", "features"})

    @classmethod
    def fits(cls, stream: TaskStream, generative: bool) -> bool:
        # One or two dimensions need no embedding to be looked at: evaluator `density`.
        spec = stream.spec
        return super().fits(stream, generative) and (spec.modality != "vector" or math.prod(spec.shape) > 2)

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        real, replay = evidence.features("real"), evidence.features("replay")
        both = np.concatenate([real.x, replay.x])
        if "umap" not in sys.modules:
            with evidence.progress.loading("umap-learn"):
                import umap  # noqa: F401
        if len(both) > NEIGHBOURS + 1:
            points = embed(both)
            draw(evidence, points[: len(real)], real.y, points[len(real) :], replay.y)
        yield from ()


def embed(features: np.ndarray) -> np.ndarray:
    """(n, d) to (n, 2), the same for the same features."""
    import umap

    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            # umap-learn warns that a seed costs its parallelism; we want the seed.
            warnings.simplefilter("ignore")
            reducer = umap.UMAP(n_neighbors=NEIGHBOURS, min_dist=MIN_DISTANCE, random_state=SEED, n_jobs=1)
            return np.asarray(reducer.fit_transform(features.astype(np.float32)))
    finally:
        # Numba sets OpenMP's number of threads for the whole process, to that of all cores: training after it
        # was seven times as slow on two busy ones, and its sums are added up in another order.
        torch.set_num_threads(threads)


def draw(
    evidence: Evidence, real: np.ndarray, real_y: np.ndarray, replay: np.ndarray, replay_y: np.ndarray
) -> None:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    names, seen = evidence.stream.spec.class_names, evidence.seen
    figure = Figure(figsize=(6.0, 4.8), dpi=130)
    ax = figure.subplots()
    palette = matplotlib.colormaps["tab10" if len(names) <= 10 else "nipy_spectral"]
    for c in seen:
        colour = palette(c if len(names) <= 10 else c / (len(names) - 1))
        dots, crosses = real[real_y == c], replay[replay_y == c]
        ax.scatter(dots[:, 0], dots[:, 1], s=36, color=colour, alpha=0.3, linewidths=0)
        ax.scatter(crosses[:, 0], crosses[:, 1], s=12, color=colour, marker="x", linewidths=0.8)
    # Colours of neighbouring classes may look alike; names do not. Drawn last, to lie on top.
    for c in seen if len(seen) <= 30 else ():
        x, y = np.median(real[real_y == c], axis=0)
        ax.annotate(
            names[c],
            (x, y),
            fontsize=11,
            weight="bold",
            path_effects=[withStroke(linewidth=3, foreground="w")],
        )
    ax.set_title(
        f"After task {evidence.after_task + 1}: real (dots, n = {len(real)}), "
        f"replay (crosses, n = {len(replay)})\n"
        f"UMAP of features ({evidence.extractors[0].title}), {NEIGHBOURS} neighbours, fitted on both",
        fontsize=8,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    figure.tight_layout()
    figure.savefig(evidence.folder / "umap.png")
