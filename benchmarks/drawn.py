"""What benchmarks share whose data are drawn from a known law: the ground truth of self-consuming loops.

One class, so that nothing is classified and generators learn the law itself. `replicas` copies of the
experiment, independent of each other, lie side by side along the first axis of a sample: generators that keep
them apart run them all at once.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from cl_bench.benchmark import StationaryBenchmark
from cl_bench.law import Law
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import Modality, RealData


@dataclass(frozen=True)
class DrawnOptions:
    """Options of every benchmark whose data are drawn."""

    generations: Annotated[int, Gt(0)] = 10
    """number of tasks"""
    n: Annotated[int, Gt(1)] = 1000
    """real training samples, of each generation where they are fresh"""
    n_test: Annotated[int, Gt(1)] | None = None
    """real test samples; none for as many as n, or two where there are replicas, which are judged by their
    law"""
    replicas: Annotated[int, Gt(0)] = 1
    """independent copies of the experiment, side by side"""
    fresh: bool = False
    """give each generation its own real data, in place of the same data to all"""
    data_seed: Annotated[int, Ge(0)] = 0
    """seed of the real data; --seed is of everything else"""
    valid_fraction: Annotated[float, Ge(0), Lt(1)] = 0.0
    """share of the training data held out as task.valid"""


class DrawnBenchmark(StationaryBenchmark):
    """Subclasses give `law` and `draw`."""

    source = "drawn from a known law by a fixed seed"
    Options: ClassVar[type] = DrawnOptions
    extractors = ("identity",)
    modality: ClassVar[Modality] = "vector"
    vocabulary = 0

    @abstractmethod
    def law(self) -> Law:
        """What is drawn from."""

    @abstractmethod
    def draw(self, n: int) -> Tensor:
        """(n, replicas, …), from torch's global generator, in the modality's type."""

    def load(self) -> RealData:
        options = self.options
        few = options.n if options.replicas == 1 else 2
        sizes = {
            "train": options.n * (options.generations if options.fresh else 1),
            "test": options.n_test or few,
        }
        drawn = {}
        for part, n in sizes.items():
            with isolated(options.data_seed, self.name, part):
                x = self.draw(n)
            x = x.squeeze(1) if options.replicas == 1 else x
            drawn[part] = Samples.real(x, torch.zeros(n, dtype=torch.int64))
        return RealData(
            self.modality,
            ("all",),
            drawn["train"],
            drawn["test"],
            law=self.law(),
            replicas=options.replicas,
            vocabulary=self.vocabulary,
        )

    def chosen(self) -> RealData:
        return self.load()
