"""Replay from a memory of fixed size: a uniform sample of all data seen.

J. Vitter 1985, "Random Sampling with a Reservoir"; for replay M. Riemer et al. 2019, arXiv 1810.11910. Each
sample draws a priority once; keeping the highest ones is the same as Vitter's algorithm.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge

from cl_bench import Samples, Strategy
from cl_bench.classifier import Classifier
from cl_bench.samples import concat
from cl_bench.state import prefixed, under


@dataclass(frozen=True)
class ReservoirOptions:
    memory: Annotated[int, Ge(1)] = 100
    """real samples kept in all, whatever the number of classes"""
    steps: Annotated[int, Ge(1)] = 400
    """training steps per task"""


class Reservoir(Strategy):
    """Replay a uniform sample of everything seen, of fixed total size."""

    paper = "Riemer et al. 2019, arXiv 1810.11910; Vitter 1985"
    Options = ReservoirOptions

    def __init__(self, setting, options):
        super().__init__(setting, options)
        self.classifier = Classifier(self.spec, self.device)
        self.memory, self.priority = None, torch.empty(0)

    def observe(self, task):
        data = task.train if self.memory is None else concat([task.train, self.memory])
        self.classifier.fit(data, self.progress, steps=self.options.steps)
        priority = torch.cat([torch.rand(len(task.train)), self.priority])
        self.priority, kept = priority.topk(min(self.options.memory, len(priority)))
        self.memory = data[kept]

    def predict(self, x):
        return self.classifier.predict(x)

    def state_dict(self):
        state = prefixed("classifier", self.classifier.state_dict()) | {"priority": self.priority}
        return state | prefixed("memory", self.memory.state_dict())

    def load_state_dict(self, state):
        self.classifier.load_state_dict(under("classifier", state))
        self.priority = state["priority"]
        self.memory = Samples.from_state_dict(under("memory", state))
