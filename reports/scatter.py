"""The UMAPs of a run as the page's script draws them (templates/scatter.js): points, classes and thumbnails.

All that is drawn can be looked at, so where there are images the points are those that have one. A page has
to stay light: of each class and side the first points are taken, as many as a budget of bytes allows, equally
many in every task. Real samples are the same ones in every task, and their images are there once.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cl_bench.class_colours import class_colours
from cl_bench.reports.embedding import Embedding
from cl_bench.reports.sheet import sheet

MOST_POINTS = 10_000  # a task, without images
PROBE = 256  # images that the size of the others is estimated from
POINT_BYTES = 12  # in base64: two coordinates, class, depth, and which image
TEXT_BYTES = 2_000  # captions and names
SHRINK = 0.9
LEAST = 5  # points of each class and side, for a picture to say something
GRID = 65_535
SEED = 0


@dataclass(frozen=True)
class Scatter:
    """What a page embeds. json: for the script, safe inside a <script> element. left_out: a sentence about
    points that are not drawn, or ""."""

    json: str
    captions: tuple[str, ...]
    left_out: str


def scatter(
    found: Mapping[int, Embedding], class_names: Sequence[str], titles: Mapping[int, str], budget: int
) -> Scatter | None:
    """The embeddings after some tasks, in at most `budget` bytes: with images where they have them, without
    where those would leave too few points to say something. None where there are too few even so.

    found, titles: by task; titles are what a reader calls the task. class_names: by label.
    """
    if not found:
        return None
    if all(one.images is not None for one in found.values()):
        pictured = _scatter(found, class_names, titles, budget, pictured=True)
        if pictured is not None:
            return pictured
    return _scatter(found, class_names, titles, budget, pictured=False)


def _scatter(
    found: Mapping[int, Embedding],
    class_names: Sequence[str],
    titles: Mapping[int, str],
    budget: int,
    pictured: bool,
) -> Scatter | None:
    ranks = {t: _ranks(one, pictured) for t, one in found.items()}
    most = max(int(rank.max(initial=-1)) for rank in ranks.values()) + 1
    each = min(most, _affordable(found, pictured, budget))
    while each >= max(1, min(LEAST, most)):
        packed = _packed(found, ranks, each, pictured)
        text = _json(packed, class_names, titles)
        if len(text) <= budget:
            captions = tuple(one.caption for _, one in sorted(found.items()))
            return Scatter(text, captions, _left_out(found, ranks, each, pictured))
        each = min(each - 1, int(each * budget / len(text) * SHRINK))
    return None


def _ranks(one: Embedding, pictured: bool) -> np.ndarray:
    """The place of each point (n,) among those of its class and side that can be drawn; −1 for the others."""
    known = np.zeros(len(one.y), bool)
    known[one.of if pictured else slice(None)] = True
    ranks = np.full(len(one.y), -1)
    for side in (False, True):
        for c in np.unique(one.y):
            members = np.flatnonzero(known & (one.y == c) & (one.replay == side))
            ranks[members] = np.arange(len(members))
    return ranks


def _chosen(rank: np.ndarray, each: int) -> np.ndarray:
    return np.flatnonzero((rank >= 0) & (rank < each))


def _affordable(found: Mapping[int, Embedding], pictured: bool, budget: int) -> int:
    """About how many points of each class and side fit into `budget` and, without images, into a drawing."""
    replayed = [len(np.unique(one.y[one.replay])) for one in found.values()]
    real = [len(np.unique(one.y[~one.replay])) for one in found.values()]
    a_point, left = POINT_BYTES * (sum(real) + sum(replayed)), budget - TEXT_BYTES * len(found)
    last = found[max(found)].images
    if not pictured or last is None or not len(last):
        return min(left // a_point, max(1, MOST_POINTS // (max(real) + max(replayed))))
    probe = last[:: max(1, len(last) // PROBE)][:PROBE]
    an_image = len(sheet(probe).uri) / len(probe)
    return int(left / (a_point + an_image * (max(real) + sum(replayed))))


class _Tray:
    """Images, each once, by the cell of the sheet that they go to."""

    def __init__(self) -> None:
        self._cells: dict[bytes, int] = {}
        self._images: list[np.ndarray] = []

    def cell(self, image: np.ndarray) -> int:
        key = image.tobytes()
        if key not in self._cells:
            self._cells[key] = len(self._images)
            self._images.append(image)
        return self._cells[key]

    def sheet(self) -> dict[str, Any] | None:
        if not self._images:
            return None
        made = sheet(np.stack(self._images))
        return {"src": made.uri, "columns": made.columns}


def _packed(
    found: Mapping[int, Embedding], ranks: Mapping[int, np.ndarray], each: int, pictured: bool
) -> dict[str, Any]:
    """Everything but names, with `each` points of a class and side."""
    shared, tasks = _Tray(), []
    for t, one in sorted(found.items()):
        # Shuffled, so that no class lies on top of others for its number; real ones first.
        rows = np.random.default_rng(SEED).permutation(_chosen(ranks[t], each))
        rows = rows[np.argsort(one.replay[rows], kind="stable")]
        own, cells = _Tray(), np.zeros(len(rows))
        if pictured and one.images is not None:
            image_of = dict(zip(one.of.tolist(), one.images, strict=True))
            cells[:] = [(own if one.replay[row] else shared).cell(image_of[row]) for row in rows.tolist()]
        tasks.append(
            {
                "task": t,
                "real": int((~one.replay[rows]).sum()),
                "points": _base64(_on_grid(one.points[rows])),
                "classes": _base64(one.y[rows]),
                "depths": _base64(one.depth[rows].clip(0, GRID)),
                "cells": _base64(cells) if pictured else None,
                "sheet": own.sheet(),
            }
        )
    shape = next((one.images.shape for one in found.values() if one.images is not None), None)
    size = [int(shape[3]), int(shape[2])] if pictured and shape is not None else None
    return {"size": size, "sheet": shared.sheet(), "tasks": tasks}


def _on_grid(points: np.ndarray) -> np.ndarray:
    """Points (n, 2) on a grid of 65,536 a side, both axes at one scale."""
    if not len(points):
        return points
    low, high = points.min(0), points.max(0)
    scale = GRID / max(float((high - low).max()), 1e-9)
    return ((points - (low + high) / 2) * scale + GRID / 2).round().clip(0, GRID)


def _base64(values: np.ndarray) -> str:
    """As 16-bit numbers, the least significant byte first."""
    return base64.b64encode(np.ascontiguousarray(values).astype("<u2").tobytes()).decode("ascii")


def _json(packed: dict[str, Any], class_names: Sequence[str], titles: Mapping[int, str]) -> str:
    """Packed data with names; no "<" in it, so that no name ends the element or begins another."""
    tasks = [task | {"title": titles[task["task"]]} for task in packed["tasks"]]
    names = [str(name) for name in class_names]
    told = packed | {"tasks": tasks, "names": names, "colours": class_colours(len(names))}
    text = json.dumps(told, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _left_out(
    found: Mapping[int, Embedding], ranks: Mapping[int, np.ndarray], each: int, pictured: bool
) -> str:
    drawn = sum(len(_chosen(rank, each)) for rank in ranks.values())
    every = sum(len(one.y) for one in found.values())
    bare = not pictured and any(one.images is not None for one in found.values())
    without = ", without images" if bare else ""
    if drawn == every and not bare:
        return ""
    return (
        f"To keep the page light, {drawn:,} of {every:,} points are drawn{without}: the first {each} of each "
        "class, real and replayed; umap.png beside each task's data shows all."
    )
