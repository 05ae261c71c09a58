"""The real data that judging needs, apart from test sets: what features are learned from, and the floor.

The floor is a slice of the real training data that no extractor learns from; only the unit of features, an
offset and a scale for all sides alike, is taken from it. Test set and floor are then exchangeable, both
unseen, and their distance is what a perfect generator would score at this sample size.
"""

from __future__ import annotations

import torch

from cl_bench.samples import concat
from cl_bench.seeds import permutation
from cl_bench.stream import TaskStream

SEED = 0


class RealSets:
    """Real data of all tasks of `stream`, the same whatever its class order and split.

    counts: samples per class that distances use on each side: as many as the class has test samples, at
    most half its training samples. floor: so many training samples of each class. train: the others.
    """

    def __init__(self, stream: TaskStream) -> None:
        real, test = stream.train, concat(stream.test).counts()
        self.counts = {c: min(test.get(c, 0), n // 2) for c, n in real.counts().items()}
        held = []
        for c, n in sorted(self.counts.items()):
            members = torch.nonzero(real.y == c).flatten()
            held.append(members[torch.from_numpy(permutation(len(members), SEED, "floor", c)[:n])])
        index = torch.cat(held)
        kept = torch.ones(len(real), dtype=torch.bool)
        kept[index] = False
        self.floor, self.train = real[index], real[kept]
