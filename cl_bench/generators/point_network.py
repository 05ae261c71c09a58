"""The network of diffusion and flow generators on vectors: a perceptron in place of the UNet."""

from __future__ import annotations

import math

from torch import Tensor, nn

from cl_bench.generators.mlp_diffusion import Denoiser
from cl_bench.generators.unet import Size
from cl_bench.stream import StreamSpec

WIDTHS: dict[str, int] = {"micro": 64, "tiny": 128, "small": 256, "base": 512, "large": 1024}


class PointNetwork(nn.Module):
    """f(x, t, y): points (n, d, 1, 1), times (n,) in [0, 1], labels (n,) to (n, d, 1, 1).

    Label `num_classes` means "any class", for guidance without a classifier.
    """

    def __init__(self, spec: StreamSpec, size: Size) -> None:
        super().__init__()
        self.net = Denoiser(math.prod(spec.shape), spec.num_classes + 1, WIDTHS[size])

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.net(x.flatten(1), t, y).view_as(x)
