"""Tails of numbers, and rare words: what recursive training loses first (see metrics/tails.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence, Side
from cl_bench.metrics.tails import category_coverage, tail_mass
from cl_bench.rows import Measurement, Metric

SHARE = 0.01
TAIL_MASS = (
    "synthetic mass beyond the real 1 % and 99 % quantiles over real mass there, mean over dimensions; "
    "1 is kept, 0 is gone"
)


@register_evaluator("tails")
class Tails(Evaluator):
    """Mass in the tails of vectors, and how much of real text is in tokens that samples still have."""

    needs = frozenset({"samples"})
    modalities = ("vector", "text")
    metrics: ClassVar[dict[str, Metric]] = {
        f"{name}{word}": Metric(
            f"{title}{word.replace(':', ' ')}", None if word else better, "real vs real" if word else doc
        )
        for name, title, better, doc in (
            ("tail_mass", "tail mass", None, TAIL_MASS),
            ("covered_mass", "covered mass", True, "share of real tokens that samples still have"),
            ("kept_tokens", "kept tokens", True, "share of different real tokens that samples still have"),
        )
        for word in ("", ":floor")
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        find = _of_tokens if evidence.stream.spec.modality == "text" else _of_values
        sides: tuple[tuple[str, Side], ...] = (("", "replay"), (":floor", "floor"))
        for word, side in sides:
            real, other = (evidence.sides[one].x.flatten(1).numpy() for one in ("real", side))
            for metric, value in find(real, other).items():
                yield Measurement(f"{metric}{word}", value, len(real))


def _of_values(real: np.ndarray, other: np.ndarray) -> dict[str, float]:
    if len(real) * SHARE < 1 or not len(other):
        return {"tail_mass": float("nan")}
    tails = tail_mass(real, other, SHARE)
    return {"tail_mass": float("nan") if np.isnan(tails.both).all() else tails.mean}


def _of_tokens(real: np.ndarray, other: np.ndarray) -> dict[str, float]:
    found = category_coverage(real.flatten(), other.flatten())
    return {"covered_mass": found.covered_mass, "kept_tokens": found.kept}
