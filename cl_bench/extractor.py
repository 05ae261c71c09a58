"""The extractor contract: samples to the features that distances are taken in.

An extractor is fitted once, on real data, with a seed of its own; the same features serve every strategy and
seed on the same data, so drift of a strategy's networks cannot contaminate a distance.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from cl_bench.config import source
from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.state import State, checksum
from cl_bench.stream import Modality, StreamSpec
from cl_bench.trained_once import train_once


class Extractor(ABC):
    """features(x): data (n, *spec.shape) in the stream's modality to (n, d) float32 on the CPU.

    Registered with `@register_extractor("name")` and chosen by `--extractors`; metrics carry the name, as in
    `otdd:pixels`. title: what the features are, in captions. modalities: what it takes. scaled: whether
    features are centred and divided by the root of their total variance over real data, so that distances of
    different extractors have one unit; false where published figures have the features' own. costly: whether
    what `learn` finds is worth keeping in the cache. kept: whether features of real data are, too, as those
    of networks are (see `real_features.py`). known_as: names that metrics in these features have in the
    literature.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]
    modalities: ClassVar[tuple[Modality, ...]] = ("image", "vector")
    scaled: ClassVar[bool] = True
    costly: ClassVar[bool] = False
    kept: ClassVar[bool] = True
    known_as: ClassVar[dict[str, str]] = {}

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        """Raises UserError where the stream's data do not fit, or weights are missing."""
        if spec.modality not in self.modalities:
            raise UserError(
                f"extractor {self.name!r} takes {' and '.join(self.modalities)} data, not {spec.modality}"
            )
        self.spec, self.device = spec, device
        self._mean, self._scale = torch.zeros(()), torch.ones(())

    def learn(self, real: RealSets, progress: Progress) -> None:  # noqa: B027
        """Fit what features depend on to `real.train`, with a seed of its own. Nothing, unless overridden."""

    @abstractmethod
    def raw(self, x: Tensor) -> Tensor:
        """Features before any scaling, (n, d) float32 on the CPU."""

    def learned(self) -> State:
        """Tensors that `learn` found."""
        return {}

    def load_learned(self, state: State) -> None:  # noqa: B027
        """Take over what `learned` gave."""

    def about(self, real: RealSets) -> dict[str, Any]:
        """What a run records of it, besides its hash."""
        return {"title": self.title}

    # The same for all.

    @classmethod
    def metric(cls, base: str) -> str:
        """Name of the metric `base` in these features: "fd:pixels", but "fid"."""
        return cls.known_as.get(base, f"{base}:{cls.name}")

    def fit(self, real: RealSets, progress: Progress) -> None:
        """Learn, then fix the unit."""
        self.learn(real, progress)
        if self.scaled:
            raw = self.raw(real.floor.x).double()
            self._mean = raw.mean(0).float()
            self._scale = (raw - raw.mean(0)).square().sum(1).mean().sqrt().clamp(min=1e-12).float()

    def fit_once(self, real: RealSets, progress: Progress) -> None:
        """`fit`, or what an earlier fit on the same data left in the cache."""
        if not self.costly:
            self.fit(real, progress)
            return
        made_of = (source(type(self)), self.name, self.spec, self.device, real.train, real.floor)
        train_once(self, lambda: self.fit(real, progress), "extractors", made_of, progress)

    def features(self, x: Tensor) -> Tensor:
        """(n, d) float32 on the CPU, in the unit of the extractor."""
        return (self.raw(x) - self._mean) / self._scale

    def hash(self) -> str:
        """SHA-256 (hex) over all that features depend on but the code."""
        return checksum(self.state_dict())

    def state_dict(self) -> State:
        return {f"learned.{key}": value for key, value in self.learned().items()} | {
            "mean": self._mean,
            "scale": self._scale,
        }

    def load_state_dict(self, state: State) -> None:
        self._mean, self._scale = state["mean"], state["scale"]
        learned = {key.removeprefix("learned."): v for key, v in state.items() if key.startswith("learned.")}
        self.load_learned(learned)
