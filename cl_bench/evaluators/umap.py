"""UMAP of real and replayed samples in features, those of the first extractor.

L. McInnes, J. Healy, J. Melville, "UMAP", 2018 (arXiv 1802.03426); umap-learn, seeded. `umap` is fitted on
real and replayed samples together; `umap:real` on real ones, and replay is placed among them: a map that
replay cannot bend, on which what is unlike anything real has no place of its own.

Two files a task. `umap.png` is for reading as it is. `umap.safetensors` is what the report's page draws
itself: `points` (n, 2) float32, real ones first, `y` (n,) classes, `depth` (n,) generation depths, `replay`
(n,) 0 or 1, and of images `thumbnails` (m, C, h, w) uint8 with `of` (m,), the rows of `points` they show.
Thumbnails are at most 32 pixels a side, averaged down where samples are larger; there are 5,000 a task, or
one of each class and side, the first ones. The file's metadata say how UMAP was fitted.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl_bench import register_evaluator, state
from cl_bench.class_colours import class_colours
from cl_bench.errors import UserError, unknown
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.parametrised import Parametrised
from cl_bench.rows import Measurement
from cl_bench.samples import Samples, concat
from cl_bench.stream import TaskStream

SEED, NEIGHBOURS, MIN_DISTANCE = 0, 15, 0.4
FITTED_ON = {"both": "real and replayed samples together", "real": "real samples, replay placed among them"}
THUMBNAILS, SIDE = 5_000, 32
NAMED = 30  # classes, up to which their names are written into the picture


@dataclass(frozen=True)
class Fit:
    """fitted_on: "both" or "real" samples. neighbours: ≥ 2. min_distance: between points drawn, 0 to 1."""

    fitted_on: str = "both"
    neighbours: int = NEIGHBOURS
    min_distance: float = MIN_DISTANCE

    @classmethod
    def of(cls, argument: str) -> Fit:
        """As "real:30:0.1" says. Raises UserError."""
        fitted_on, *numbers = argument.split(":")
        if fitted_on not in FITTED_ON:
            raise unknown("sample to fit UMAP on", fitted_on, FITTED_ON)
        try:
            neighbours = int(numbers[0]) if numbers else NEIGHBOURS
            min_distance = float(numbers[1]) if numbers[1:] else MIN_DISTANCE
        except ValueError:
            raise UserError(f"umap:{argument} is not umap:{UMAP.takes}; say umap:both:15:0.4, say") from None
        if len(numbers) > 2 or neighbours < 2 or not 0 <= min_distance <= 1:
            raise UserError(f"umap:{argument}: expected 2 neighbours or more and a distance from 0 to 1")
        return cls(fitted_on, neighbours, min_distance)

    @property
    def sentence(self) -> str:
        return (
            f"{self.neighbours} neighbours, minimum distance {self.min_distance:g}, "
            f"fitted on {FITTED_ON[self.fitted_on]}"
        )


@register_evaluator("umap")
class UMAP(Evaluator, Parametrised):
    """UMAP of real vs replay features per task; fitted on both, or umap:real, or as umap:both:30:0.1 says.

    The argument: fitted on both (the default) or real, neighbours (15), minimum distance (0.4). It leaves
    umap.png, and the points for the report's page.
    """

    takes = "FITTED_ON[:NEIGHBOURS[:DISTANCE]]"
    needs_argument = False
    how = Fit()
    needs = frozenset({"samples", "features"})

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        made = super().parametrised(argument)
        made.how = Fit.of(argument)
        return made

    @classmethod
    def fits(cls, stream: TaskStream, generative: bool) -> bool:
        # One or two dimensions need no embedding to be looked at: evaluator `density`.
        spec = stream.spec
        return super().fits(stream, generative) and (spec.modality != "vector" or math.prod(spec.shape) > 2)

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        real, replay = evidence.features("real"), evidence.features("replay")
        if "umap" not in sys.modules:
            with evidence.progress.loading("umap-learn"):
                import umap  # noqa: F401
        fitted = len(real) + (len(replay) if self.how.fitted_on == "both" else 0)
        if fitted > self.how.neighbours + 1 and len(replay):
            points = embed(real.x, replay.x, self.how)
            keep(evidence, points, self.how)
            draw(evidence, points[: len(real)], real.y, points[len(real) :], replay.y, self.how)
        yield from ()


def embed(real: np.ndarray, replay: np.ndarray, how: Fit = Fit(), seed: int = SEED) -> np.ndarray:
    """(n, d) and (m, d) to (n + m, 2), the same for the same features and seed; more rows than neighbours are
    fitted to."""
    import umap

    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            # umap-learn warns that a seed costs its parallelism; we want the seed.
            warnings.simplefilter("ignore")
            reducer = umap.UMAP(
                n_neighbors=how.neighbours, min_dist=how.min_distance, random_state=seed, n_jobs=1
            )
            real, replay = real.astype(np.float32), replay.astype(np.float32)
            if how.fitted_on == "both":
                return np.asarray(reducer.fit_transform(np.concatenate([real, replay])))
            return np.concatenate([reducer.fit_transform(real), reducer.transform(replay)])
    finally:
        # Numba sets OpenMP's number of threads for the whole process, to that of all cores: training after it
        # was seven times as slow on two busy ones, and its sums are added up in another order.
        torch.set_num_threads(threads)


def keep(evidence: Evidence, points: np.ndarray, how: Fit) -> None:
    """Write umap.safetensors: `points` (n, 2) of the real samples, then of the replayed ones."""
    spec, sides = evidence.stream.spec, evidence.sides
    real, replay = sides["real"], sides["replay"]
    both = concat([real, replay])
    found = {
        "points": torch.from_numpy(points.astype(np.float32)),
        "y": both.y.int(),
        "depth": both.depth.int(),
        "replay": (torch.arange(len(both)) >= len(real)).byte(),
    }
    if spec.modality == "image":
        each = max(1, THUMBNAILS // (2 * spec.num_classes))
        found["of"] = torch.cat([first(real, each), len(real) + first(replay, each)]).int()
        found["thumbnails"] = thumbnails(both.x[found["of"].long()])
    about = {
        "extractor": evidence.extractors[0].title,
        "neighbours": str(how.neighbours),
        "min_distance": str(how.min_distance),
        "seed": str(SEED),
        "fitted_on": FITTED_ON[how.fitted_on],
        "umap-learn": version("umap-learn"),
    }
    state.save(evidence.folder / "umap.safetensors", found, about)


def first(samples: Samples, each: int) -> Tensor:
    """The rows of the first `each` samples of each class, classes ascending: (m,) int64."""
    rows = [torch.nonzero(samples.y == c).flatten()[:each] for c in samples.classes]
    return torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)


def thumbnails(x: Tensor) -> Tensor:
    """Images (n, C, H, W) uint8, averaged down to 32 pixels on the longer side where that is more."""
    height, width = x.shape[2:]
    longer = max(height, width)
    if longer <= SIDE or not len(x):
        return x
    size = (max(1, height * SIDE // longer), max(1, width * SIDE // longer))
    smaller = torch.nn.functional.interpolate(x.float(), size, mode="area")
    return smaller.round().to(torch.uint8)


def draw(
    evidence: Evidence,
    real: np.ndarray,
    real_y: np.ndarray,
    replay: np.ndarray,
    replay_y: np.ndarray,
    how: Fit,
) -> None:
    from matplotlib.figure import Figure

    from cl_bench.placed_names import write_names

    names, seen = evidence.stream.spec.class_names, evidence.seen
    figure = Figure(figsize=(6.0, 4.8), dpi=130)
    ax = figure.subplots()
    palette = class_colours(len(names))
    for c in seen:
        dots, crosses = real[real_y == c], replay[replay_y == c]
        ax.scatter(dots[:, 0], dots[:, 1], s=36, color=palette[c], alpha=0.3, linewidths=0)
        ax.scatter(crosses[:, 0], crosses[:, 1], s=12, color=palette[c], marker="x", linewidths=0.8)
    ax.set_title(
        f"{evidence.when.capitalize()}: real (dots, n = {len(real)}), "
        f"replay (crosses, n = {len(replay)})\n"
        f"UMAP of features ({evidence.extractors[0].title})\n{how.sentence}",
        fontsize=8,
    )
    ax.set_xticks([])
    ax.set_yticks([])
    figure.tight_layout()
    # Colours of neighbouring classes may look alike; names do not. Drawn last, to lie on top.
    named = [c for c in seen if (real_y == c).any()] if len(seen) <= NAMED else []
    write_names(ax, [(names[c], np.median(real[real_y == c], axis=0)) for c in named])
    figure.savefig(evidence.folder / "umap.png")
