"""Features of a convolutional network that nobody trained."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_bench import register_extractor
from cl_bench.extractor import Extractor
from cl_bench.networks import body
from cl_bench.samples import scaled
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec

SEED, WIDTH, BATCH = 0, 256, 1024


@register_extractor("random-conv")
class RandomConv(Extractor):
    """A fixed random convolutional network: textures and shapes, no labels, no download.

    M. F. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", 2020, §4.2: for data
    unlike ImageNet, random embeddings can judge better than trained ones. Theirs is VGG16, ours the small cnn
    of `networks.py`; 256 features.
    """

    title = "random convolutional network"
    modalities = ("image",)

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        with isolated(SEED, "random-conv"):
            self.net = body(spec, WIDTH, network="cnn").to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def raw(self, x: Tensor) -> Tensor:
        return torch.cat([self.net(scaled(part.to(self.device))).cpu() for part in x.split(BATCH)])
