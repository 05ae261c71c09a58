"""How far each replayed class lies from each real one: the label distances of OTDD, as a matrix.

W₂² between Gaussians fitted to the features of each class (D. Alvarez-Melis, N. Fusi 2020, eq. 7, the
Gaussian case; metrics/gaussian.py), by the first extractor. A row for each real class, a column for each
replayed one: the diagonal should be the least of its row, and no more than between two sets of real data.

`label_distances.safetensors` has `classes` (k,), `distances` (k, k) float64, NaN in the columns of classes of
which no replay is left, and `floor` (k,), the distance of each class to other real data at the same n.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from cl_bench import register_evaluator, state
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.features import Features
from cl_bench.metrics import gaussian
from cl_bench.rows import Measurement


@register_evaluator("label-distances")
class LabelDistances(Evaluator):
    """Distance of each real class to each replayed one per task (label_distances.safetensors)."""

    needs = frozenset({"samples", "features", "classes"})

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        real, floor, replay = (evidence.features(side) for side in ("real", "floor", "replay"))
        classes = [c for c in evidence.seen if (real.y == c).any()]
        found = {
            "classes": torch.tensor(classes),
            "distances": torch.from_numpy(label_distances(real, replay, classes)),
            "floor": torch.from_numpy(
                np.array([label_distances(real, floor, [c])[0, 0] for c in classes], dtype=np.float64)
            ),
        }
        about = {
            "extractor": evidence.extractors[0].title,
            "real": str(len(real)),
            "replay": str(len(replay)),
        }
        state.save(evidence.folder / "label_distances.safetensors", found, about)
        yield from ()


def label_distances(a: Features, b: Features, classes: list[int]) -> np.ndarray:
    """W₂² of each class of `a` (rows) to each of `b` (columns), (k, k) in squared feature units; lower is
    closer. NaN where a side has no sample of the class."""
    in_a, in_b = ([i for i, c in enumerate(classes) if (side.y == c).any()] for side in (a, b))
    found = np.full((len(classes), len(classes)), np.nan)
    if in_a and in_b:
        fits = [
            [gaussian.fit(side.on_device[side.y == classes[i]]) for i in there]
            for side, there in ((a, in_a), (b, in_b))
        ]
        found[np.ix_(in_a, in_b)] = gaussian.distance_matrix(*fits)
    return found
