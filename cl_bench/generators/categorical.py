"""The empirical distribution of tokens, per class and replica of the stream: the loop of Wright and Fisher.

p̂_k = (c_k + α) / Σ_j (c_j + α), c_k how often token k stands in the training set, all positions of all
samples pooled, α = `smoothing`, 0 unless told (add-α: G. J. Lidstone 1920). Positions of a sample are drawn
independently of each other. With n tokens a generation, α = 0 and replacement (I. Shumailov et al. 2023,
arXiv 2305.17493; in population genetics S. Wright 1931, R. A. Fisher 1930):

  E[1 − Σ p_t²] = (1 − Σ p_0²)(1 − 1/n)^t,   P(token k survives one round) = 1 − (1 − p_k)ⁿ,
  P(token k is the last one left) = p_k(0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.law import CategoricalLaw, Law
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class CategoricalOptions:
    smoothing: Annotated[float, Ge(0)] = 0.0
    """added to the count of every token; 0 for the exact empirical distribution"""


@register_generator("categorical")
class Categorical(Generator):
    """Token frequencies of each class and replica, exactly as counted; for text."""

    paper = "Shumailov et al. 2023, arXiv 2305.17493; Wright 1931; Fisher 1930"
    Options = CategoricalOptions
    replicated = True

    def __init__(
        self, spec: StreamSpec, options: CategoricalOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "text":
            raise UserError(f"generator 'categorical' makes text, not {spec.modality} data; choose zipf:50")
        shape = (spec.num_classes, spec.replicas, spec.vocabulary)
        self.probabilities = torch.full(shape, 1 / spec.vocabulary, dtype=torch.float64)

    def fit(self, data: Samples) -> None:
        replicas, k = self.probabilities.shape[1:]
        # Token k of replica r is number rK + k, so that one count is enough for all.
        numbers = data.x.cpu().reshape(len(data), replicas, -1) + torch.arange(replicas).view(1, -1, 1) * k
        for c in data.classes:
            members = numbers[data.y.cpu() == c] if self.spec.num_classes > 1 else numbers
            counts = members.flatten().bincount(minlength=replicas * k).view(replicas, k).double()
            counts += self.options.smoothing
            self.probabilities[c] = counts / counts.sum(1, keepdim=True)

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        replicas = self.spec.replicas
        length = math.prod(self.spec.shape) // replicas
        x = torch.empty(len(labels), replicas, length, dtype=torch.int64)
        with sampling(len(labels)):
            for c, n in zip(*(part.tolist() for part in labels.unique(return_counts=True)), strict=True):
                drawn = self.probabilities[c].multinomial(n * length, replacement=True)
                rows = labels == c if self.spec.num_classes > 1 else slice(None)
                x[rows] = drawn.view(replicas, n, length).transpose(0, 1)
        return x.view(-1, *self.spec.shape)

    def nats(self, x: Tensor) -> Tensor | None:
        """Infinite where a token was never seen."""
        if self.spec.num_classes > 1 or self.spec.replicas > 1:
            return None
        return -self.probabilities[0, 0].log()[x.cpu()].flatten(1).sum(1)

    def law(self) -> Law | None:
        return CategoricalLaw(self.probabilities[0].clone()) if self.spec.num_classes == 1 else None

    def state_dict(self) -> State:
        return {"probabilities": self.probabilities}

    def load_state_dict(self, state: State) -> None:
        self.probabilities = state["probabilities"].clone()
