"""The frozen reference classifier: one feature space for every run on the same data.

It is trained once on the real data of all tasks, with a seed of its own, so that drift of a strategy's
networks cannot contaminate a distance. A slice of the real training data, the floor, is kept out of it: test
set and floor are then exchangeable, both unseen by the reference, and their distance is what a perfect
generator would score at this sample size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cl_bench.classifier import Classifier
from cl_bench.progress import Progress
from cl_bench.samples import concat
from cl_bench.seeds import isolated, permutation
from cl_bench.state import State, checksum, prefixed, under
from cl_bench.stream import TaskStream
from cl_bench.trained_once import train_once

SEED = 0


class Reference:
    """Features of a classifier trained on the real data of all tasks of `stream`.

    counts: samples per class that distances use on each side: as many as the class has test samples, at
    most half its training samples. floor: so many real training samples, kept out of the reference.
    """

    def __init__(self, stream: TaskStream, device: torch.device) -> None:
        # Not task by task: class order and split must not matter to the reference.
        real = stream.train
        test = concat(stream.test).counts()
        self.counts = {c: min(test.get(c, 0), n // 2) for c, n in real.counts().items()}
        held = []
        for c, n in sorted(self.counts.items()):
            members = torch.nonzero(real.y == c).flatten()
            held.append(members[torch.from_numpy(permutation(len(members), SEED, "floor", c)[:n])])
        index = torch.cat(held)
        kept = torch.ones(len(real), dtype=torch.bool)
        kept[index] = False
        self.floor, self.train = real[index], real[kept]
        with isolated(SEED, "reference"):
            self.classifier = Classifier(stream.spec, device, dropout=0.2)
        width = self.classifier.head.in_features
        self._mean, self._scale = torch.zeros(width), torch.ones(())

    def fit(self, progress: Progress) -> None:
        """Train, then fix the unit of the feature space: the total variance of real features is 1."""
        with isolated(SEED, "reference fit"):
            self.classifier.fit(self.train, progress, "reference classifier", steps=800)
        raw = self.classifier.features(self.floor.x).double()
        self._mean = raw.mean(0).float()
        self._scale = (raw - raw.mean(0)).square().sum(1).mean().sqrt().float()

    def fit_once(self, progress: Progress) -> None:
        """`fit`, or what an earlier fit on the same data left in the cache."""
        made_of = (self.classifier.spec, self.classifier.device, self.train, self.floor)
        train_once(self, lambda: self.fit(progress), "references", made_of, progress)

    def features(self, x: Tensor) -> Tensor:
        """(n, width) float32: the last hidden layer, centred and scaled to unit total variance."""
        return (self.classifier.features(x) - self._mean) / self._scale

    def accuracy(self, stream: TaskStream) -> float:
        """Share of all test samples that the reference classifies right."""
        test = concat(stream.test)
        return (self.classifier.predict(test.x).argmax(1) == test.y).double().mean().item()

    def hash(self) -> str:
        """SHA-256 (hex) of the weights and the feature scaling."""
        return checksum(self.state_dict())

    def state_dict(self) -> State:
        scaling = {"mean": self._mean, "scale": self._scale}
        return prefixed("classifier", self.classifier.state_dict()) | scaling

    def load_state_dict(self, state: State) -> None:
        self.classifier.load_state_dict(under("classifier", state))
        self._mean, self._scale = state["mean"], state["scale"]
