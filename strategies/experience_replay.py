"""Experience replay: a few real exemplars of each old class.

Paper: A. Chaudhry et al. 2019, "On Tiny Episodic Memories in Continual Learning", arXiv 1902.10486; the
usual real-data baseline of generative replay. Mix: k real samples per old class, lambda 0.

Batches of the classifier are half new data, half memory, as in the paper; each sample is drawn from memory
with probability ½, so that the halves are equal in expectation only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixStrategy, TrainingOptions


@dataclass(frozen=True)
class ExperienceReplayOptions(TrainingOptions):
    per_class: Annotated[int, Ge(1)] = 20
    """real samples kept of each class, drawn at random"""


@register_strategy("experience-replay")
class ExperienceReplay(MixStrategy):
    """Keep k real samples of each old class (k per class, lambda 0)."""

    version = 2
    paper = "Chaudhry et al. 2019, arXiv 1902.10486"
    stores = "`per_class` real samples of each class"
    cost = "nothing"
    limits = "keeps real data; its generator sees few real samples of old classes"
    Options = ExperienceReplayOptions

    def mix(self) -> Mix:
        return Mix(exemplars=self.options.per_class)

    def sampling_weights(self, new: int, total: int) -> Tensor | None:
        old = total - new
        if not old or not new:
            return None
        return torch.cat([torch.full((new,), 1 / new), torch.full((old,), 1 / old)])
