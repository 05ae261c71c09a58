"""UMAP of real and replayed samples in the frozen reference features.

L. McInnes, J. Healy, J. Melville, "UMAP", 2018 (arXiv 1802.03426); umap-learn with its defaults, seeded,
fitted on real and replayed samples together.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import numpy as np

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement

SEED, NEIGHBOURS = 0, 15


@register_evaluator("umap")
class UMAP(Evaluator):
    """UMAP of real vs replay features per task (umap.png)."""

    needs = frozenset({"samples", "features"})

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

    with warnings.catch_warnings():
        # umap-learn warns that a seed costs its parallelism; we want the seed.
        warnings.simplefilter("ignore")
        reducer = umap.UMAP(n_neighbors=NEIGHBOURS, random_state=SEED, n_jobs=1)
        return np.asarray(reducer.fit_transform(features.astype(np.float32)))


def draw(
    evidence: Evidence, real: np.ndarray, real_y: np.ndarray, replay: np.ndarray, replay_y: np.ndarray
) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    names, seen = evidence.stream.spec.class_names, evidence.seen
    figure = Figure(figsize=(6.4, 4.6), dpi=130)
    ax = figure.subplots()
    palette = matplotlib.colormaps["tab10" if len(names) <= 10 else "nipy_spectral"]
    for c in seen:
        colour = palette(c if len(names) <= 10 else c / (len(names) - 1))
        ax.scatter(real[real_y == c, 0], real[real_y == c, 1], s=12, color=colour, alpha=0.45, linewidths=0)
        ax.scatter(
            replay[replay_y == c, 0],
            replay[replay_y == c, 1],
            s=16,
            color=colour,
            marker="x",
            linewidths=0.9,
            label=names[c],
        )
    ax.set_title(
        f"UMAP of reference features after task {evidence.after_task + 1}: real (dots, n={len(real)}) "
        f"and replay (crosses, n={len(replay)})",
        fontsize=8,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    if len(seen) <= 20:
        ax.legend(title="class", fontsize=7, title_fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.tight_layout()
    figure.savefig(evidence.folder / "umap.png")
