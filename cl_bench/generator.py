"""The generator contract: fit labelled data, sample by label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from cl_bench.law import Law
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class Guide:
    """Classifier guidance: `log_prob(x, y)` gives log p(y | x), (n,), for x (n, …) in [−1, 1] and labels
    y (n,), differentiable in x; `scale` multiplies its gradient. target: what it reads, the denoised estimate
    x̂₀ (the gradient then passes through the denoiser) or the noisy x_t itself. steps: of the sampler, None
    for the generator's own number."""

    log_prob: Callable[[Tensor, Tensor], Tensor]
    scale: float
    target: Literal["x0", "xt"] = "x0"
    steps: int | None = None


@dataclass(frozen=True)
class Distillation:
    """What `fit_distilled` minimises: `real` · loss on new data + `weight` · distance to the teacher on its
    own samples of `classes`, made in `steps` DDIM steps."""

    classes: tuple[int, ...]
    real: float
    weight: float
    steps: int


@dataclass(frozen=True)
class NoOptions:
    """Nothing to set."""


class Generator(ABC):
    """A class-conditional generative model.

    paper: the source. guidable: whether `sample` takes a guide. replicated: whether it fits each replica of
    the stream by itself. version: raise it when the same options
    give other samples.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    paper: ClassVar[str] = ""
    guidable: ClassVar[bool] = False
    replicated: ClassVar[bool] = False
    Options: ClassVar[type] = NoOptions

    def __init__(self, spec: StreamSpec, options: Any, device: torch.device, progress: Progress) -> None:
        self.spec, self.options, self.device, self.progress = spec, options, device, progress

    @abstractmethod
    def fit(self, data: Samples) -> None:
        """Train on `data`, from the present weights on. Raises TrainingDiverged."""

    @abstractmethod
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        """One sample for each label: labels (n,) int64 to (n, *spec.shape) in the stream's modality,
        on the CPU. Draws from torch's global generator."""

    def law(self) -> Law | None:
        """The law that it samples from, where its parameters say that and there is one class; else None."""
        return None

    def nats(self, x: Tensor) -> Tensor | None:
        """Negative log-likelihood of each of data x (n, …), in nats: (n,) float64 on the CPU; None where it
        knows none."""
        return None

    @abstractmethod
    def state_dict(self) -> State:
        """Everything that `load_state_dict` needs to give the same samples."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None: ...


class Alignable(Generator):
    """A generator whose samples of old classes can be held where they are, without data of them."""

    @abstractmethod
    def fit_aligned(self, data: Samples, classes: tuple[int, ...], weight: float) -> None:
        """Train on `data`, adding weight · E ‖G(z, c) − G′(z, c)‖² to the generator's loss, c uniform over
        `classes`, G′ the sampler as it is when this is called, ‖·‖² summed over the values of an image in
        [−1, 1]. Raises TrainingDiverged."""


class Distillable(Generator):
    """A generator that can learn from its own predictions before this training instead of from its
    samples."""

    @abstractmethod
    def fit_distilled(self, data: Samples, distillation: Distillation) -> None:
        """Train on `data` and on a frozen copy of the sampler as it is when this is called. Raises
        TrainingDiverged."""
