"""What evaluator `umap` left of a task: where each real and replayed sample lies, and what it looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cl_bench.reports import tensors

FILE = "umap.safetensors"
MOST_CLASSES = 65_535  # that the page's 16 bits can name


@dataclass(frozen=True)
class Embedding:
    """points (n, 2) float32; y, depth (n,) int64; replay (n,) bool. images: (m, C, h, w) uint8 of the points
    `of` (m,), or None for data that are no images. about: how UMAP was fitted."""

    points: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    replay: np.ndarray
    images: np.ndarray | None
    of: np.ndarray
    about: Mapping[str, str]

    @property
    def caption(self) -> str:
        """How UMAP was fitted, as a sentence."""
        about = self.about
        real = int((~self.replay).sum())
        return (
            f"UMAP of features ({about.get('extractor', 'unnamed extractor')}), "
            f"{about.get('neighbours', '?')} neighbours, minimum distance {about.get('min_distance', '?')}, "
            f"seed {about.get('seed', '?')}, fitted on {about.get('fitted_on', 'unknown data')}: "
            f"n = {real:,} real (test), {len(self.y) - real:,} replay. Axes have no unit."
        )


def read(folder: Path) -> Embedding | None:
    """The embedding in a task's folder; None where there is none or the file is not whole."""
    found = tensors.read(folder / FILE)
    if found is None:
        return None
    arrays, about = found
    if not {"points", "y", "depth", "replay"} <= set(arrays):
        return None
    points, (y, depth) = arrays["points"], (arrays[name].astype(np.int64) for name in ("y", "depth"))
    n = len(y)
    if points.shape != (n, 2) or depth.shape != (n,) or arrays["replay"].shape != (n,):
        return None
    if not n or not np.isfinite(points).all() or not 0 <= y.min() <= y.max() <= MOST_CLASSES:
        return None
    images, of = arrays.get("thumbnails"), arrays.get("of", np.zeros(0)).astype(np.int64)
    if images is not None and (images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3)):
        return None
    if len(of) != (0 if images is None else len(images)) or (len(of) and not 0 <= of.min() <= of.max() < n):
        return None
    return Embedding(points, y, depth, arrays["replay"].astype(bool), images, of, about)
