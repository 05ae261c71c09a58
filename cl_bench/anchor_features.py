"""A strategy's own frozen features: made from the first task's real data and never changed again.

No evaluator's features: those may come of a classifier that saw the data of all tasks, which a strategy
must not know; what is here is made from what a strategy is given.
"""

from __future__ import annotations

import copy
import math
from typing import Literal

import torch
from torch import Tensor, nn

from cl_bench.classifier import Classifier
from cl_bench.samples import Samples, scaled, to_uint8
from cl_bench.seeds import isolated
from cl_bench.state import State
from cl_bench.stream import StreamSpec

Kind = Literal["pca", "random", "classifier"]
BATCH = 1024


class AnchorFeatures(nn.Module):
    """Features of x (n, *shape), scaled to [−1, 1]: (n, d) float32, differentiable in x.

    kind: what comes before the projection onto the first `dimensions` principal components of the first
    task's real data: "pca" nothing, "random" a fixed random convolutional network, "classifier" a frozen copy
    of the body of the classifier at hand. The unit of the features is their total standard deviation there.
    """

    mean: Tensor
    axes: Tensor

    def __init__(
        self, kind: Kind, dimensions: int, spec: StreamSpec, classifier: Classifier, device: torch.device
    ) -> None:
        super().__init__()
        self.kind, self.dimensions, self.device = kind, dimensions, device
        if kind == "classifier":
            self.body: nn.Module = copy.deepcopy(classifier.body)
        else:
            self.body = _random(spec) if kind == "random" else nn.Flatten()
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("axes", torch.zeros(0, 0))
        self.to(device).eval().requires_grad_(False)

    def fit(self, real: Samples) -> None:
        """Fix mean and axes."""
        x = self._batched(self.body, real.x).double()
        self.mean = x.mean(0).float().to(self.device)
        _, root, axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)
        unit = (root.square().sum() / len(x)).sqrt().clamp(min=1e-12)
        some = int((root > 1e-6 * root[0]).sum())
        self.axes = (axes[: min(self.dimensions, some)].T / unit).float().to(self.device)

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) - self.mean) @ self.axes

    def features(self, x: Tensor) -> Tensor:
        """Of data (n, *shape) in the stream's modality: (n, d) float32 on the CPU."""
        return self._batched(self, x)

    @torch.no_grad()
    def _batched(self, net: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([net(scaled(part.to(self.device))).cpu() for part in x.split(BATCH)])

    def moved(self, x: Tensor, change: Tensor) -> Tensor:
        """Data x (n, *shape) in the stream's modality, moved, as little as possible, so that their features
        change by `change` (n, d); on the CPU. Only where features are linear in x, kind "pca"."""
        axes = self.axes.double().cpu()
        # Orthogonal columns: the pseudo-inverse is the transpose over their squared lengths.
        back = axes.T / axes.square().sum(0)[:, None]
        found = scaled(x).double() + (change.cpu() @ back).view(x.shape)
        return to_uint8(found) if x.dtype == torch.uint8 else found.to(x.dtype)

    def load(self, state: State) -> None:
        """Take over what `state_dict` gave; mean and axes have the size that they were saved with."""
        self.mean, self.axes = state["mean"].to(self.device), state["axes"].to(self.device)
        self.load_state_dict(state)


def _random(spec: StreamSpec) -> nn.Module:
    """Random features, about 256 of them: the same weights in every run on one machine."""
    with isolated(0, "random extractor"):
        if spec.modality != "image":
            return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(spec.shape), 256), nn.ReLU())
        return nn.Sequential(
            nn.Conv2d(spec.shape[0], 32, 3, padding=1),
            nn.ReLU(),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
