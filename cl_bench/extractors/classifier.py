"""Features of a classifier that was trained on the real data of all tasks: the frozen reference."""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from cl_bench import register_extractor
from cl_bench.classifier import Classifier
from cl_bench.errors import unknown
from cl_bench.extractor import Extractor
from cl_bench.networks import Network
from cl_bench.parametrised import Parametrised
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.seeds import isolated
from cl_bench.state import State
from cl_bench.stream import StreamSpec

SEED, STEPS = 0, 800


@register_extractor("classifier")
class ClassifierFeatures(Extractor, Parametrised):
    """Last hidden layer of a frozen classifier trained on real data; classifier:resnet18 for that network.

    Without a name it is the network that strategies have by default: mlp for vectors and small images, a
    small cnn for others, which a CPU trains in minutes.
    """

    title = "frozen reference classifier"
    takes = "NETWORK"
    needs_argument = False
    costly = True

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        if argument not in get_args(Network):
            raise unknown("network", argument, get_args(Network))
        made = super().parametrised(argument)
        made.title = f"frozen reference classifier ({argument})"
        return made

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        network: Any = self.argument or "auto"
        with isolated(SEED, "reference"):
            self.classifier = Classifier(spec, device, dropout=0.2, network=network)

    def learn(self, real: RealSets, progress: Progress) -> None:
        with isolated(SEED, "reference fit"):
            self.classifier.fit(real.train, progress, "reference classifier", STEPS)

    def raw(self, x: Tensor) -> Tensor:
        return self.classifier.features(x)

    def learned(self) -> State:
        return self.classifier.state_dict()

    def load_learned(self, state: State) -> None:
        self.classifier.load_state_dict(state)

    def about(self, real: RealSets) -> dict[str, Any]:
        """Also how many samples it was trained on, and its accuracy on the floor, which it never saw."""
        right = self.classifier.predict(real.floor.x).argmax(1) == real.floor.y
        return super().about(real) | {"n": len(real.train), "accuracy": right.double().mean().item()}
