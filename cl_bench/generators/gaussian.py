"""One Gaussian per class: the generator whose drift has a closed form.

Maximum likelihood or unbiased covariance, fitted to each class of the data given. With n samples per
class and replacement, E Σ_t = (1 − 1/n)^t Σ_0 for maximum likelihood and Σ_0 for the unbiased one (I.
Shumailov et al. 2023, arXiv 2305.17493; Q. Bertrand et al. 2024, arXiv 2310.00429, proposition 1). It is
the sampling-error-only oracle.

Deviation: images are rounded to uint8 and clipped to 0…255, as all images in replay are; vectors are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class GaussianOptions:
    covariance: Literal["mle", "unbiased"] = "mle"
    """divide by n (maximum likelihood) or by n − 1"""


@register_generator("gaussian")
class Gaussian(Generator):
    """A Gaussian per class, fitted in closed form; for images or vectors."""

    paper = "Shumailov et al. 2023, arXiv 2305.17493; Bertrand et al. 2024, arXiv 2310.00429"
    Options = GaussianOptions

    def __init__(
        self, spec: StreamSpec, options: GaussianOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality == "text":
            raise UserError("generator 'gaussian' makes images or vectors, not text")
        size = math.prod(spec.shape)
        self.mean = torch.zeros(spec.num_classes, size, dtype=torch.float64)
        # Σ = factorᵀ factor, at most `size` rows.
        self.factor = torch.zeros(spec.num_classes, size, size, dtype=torch.float64)

    def fit(self, data: Samples) -> None:
        x = data.x.flatten(1).double().cpu()
        for c in data.classes:
            members = x[data.y.cpu() == c]
            n = len(members)
            centred = members - members.mean(0)
            divisor = n if self.options.covariance == "mle" else max(n - 1, 1)
            root = torch.linalg.qr(centred / math.sqrt(divisor), mode="r").R
            self.mean[c] = members.mean(0)
            self.factor[c] = 0
            self.factor[c, : len(root)] = root

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        size = self.mean.shape[1]
        with sampling(len(labels)):
            x = torch.empty(len(labels), size, dtype=torch.float64)
            for c in labels.unique().tolist():
                rows = labels == c
                noise = torch.randn(int(rows.sum()), size, dtype=torch.float64)
                x[rows] = self.mean[c] + noise @ self.factor[c]
        x = x.reshape(-1, *self.spec.shape)
        if self.spec.modality == "image":
            return x.round().clamp(0, 255).to(torch.uint8)
        return x.float()

    def state_dict(self) -> State:
        return {"mean": self.mean, "factor": self.factor}

    def load_state_dict(self, state: State) -> None:
        self.mean, self.factor = state["mean"].clone(), state["factor"].clone()
