"""The networks behind classifiers: small ones that a CPU can train, and those of the field.

mlp and cnn are deliberately small: a whole stream trains on a CPU. Their normalisation is by group (Y. Wu,
K. He, "Group Normalization", 2018), not by batch, whose running statistics drift from task to task. resnet18
and resnet32 keep the batch normalisation they were published with: while fitting they see the statistics of
the batch, afterwards running means over the last batches, so those of old classes are lost with their data.
alexnet has none.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

from torch import nn

from cl_bench.errors import UserError
from cl_bench.resnet32 import resnet32
from cl_bench.stream import StreamSpec
from cl_bench.torchvision_networks import PRETRAINED, alexnet, resnet18

Network = Literal["auto", "mlp", "cnn", "resnet18", "resnet32", "alexnet"]

FULL_SIZE = 32  # pixels a side up to which the cnn's first convolution keeps the size
MLP_LIMIT = 1024  # values per sample up to which an image needs no convolutions: 28×28 grey, say

# Units of the last hidden layer of networks that leave no choice.
WIDTHS = {"resnet18": 512, "resnet32": 64, "alexnet": 4096}


def chosen(network: Network, spec: StreamSpec) -> str:
    """The network that `network` means for this data: auto is the mlp for vectors and small images, else the
    cnn. Raises UserError where the data are no images and the network needs some."""
    if network == "auto":
        return "cnn" if spec.modality == "image" and math.prod(spec.shape) > MLP_LIMIT else "mlp"
    if network != "mlp" and spec.modality != "image":
        raise UserError(f"classifier={network} takes images, not {spec.modality} data; choose mlp or auto")
    return network


def width_of(network: str, width: int) -> int:
    """Units of the last hidden layer of `network` where `width` are asked for."""
    return WIDTHS.get(network, width)


def body(
    spec: StreamSpec, width: int, dropout: float = 0.0, network: Network = "auto", pretrained: bool = False
) -> nn.Sequential:
    """Everything up to the last hidden layer: (n, *spec.shape) float in [−1, 1] to (n, width), after a ReLU
    (residual networks: a mean of ReLUs).

    width: of mlp and cnn; the others have their own (`width_of`). dropout: share of hidden units dropped
    while training; alexnet has its published ½ besides. pretrained: begin with ImageNet weights. Raises
    UserError for a network that these data or weights do not fit.
    """
    name = chosen(network, spec)
    if pretrained and name not in PRETRAINED:
        raise UserError(f"pretrained=true needs classifier={' or '.join(PRETRAINED)}, not {network}")
    if name == "mlp":
        return _perceptron(math.prod(spec.shape), width, dropout)
    if name == "cnn":
        return _convolutional(spec.shape[0], min(spec.shape[1:]), width, dropout)
    if name == "resnet32":
        return nn.Sequential(resnet32(spec.shape[0]), nn.Dropout(dropout))
    make = resnet18 if name == "resnet18" else alexnet
    return nn.Sequential(make(spec.shape, pretrained), nn.Dropout(dropout))


def _perceptron(size: int, width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(size, width),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


def _convolutional(channels: int, size: int, width: int, dropout: float) -> nn.Sequential:
    """3×3 convolutions, each halving the image down to 4 pixels, then the mean over pixels.

    The first halves only images larger than 32 pixels: those of 64 then cost what those of 32 do. With a
    hidden layer after the mean, the fifth task of CIFAR-100 was learned no better than by chance.
    """
    first = 2 if size > FULL_SIZE else 1
    halvings = max(math.ceil(math.log2(size / first / 4)), 0)
    sizes = [channels, *(min(32 * 2**k, width) for k in range(halvings)), width]
    layers: list[nn.Module] = []
    for stage, (inward, outward) in enumerate(itertools.pairwise(sizes)):
        layers += [
            nn.Conv2d(inward, outward, 3, stride=first if stage == 0 else 2, padding=1, bias=False),
            nn.GroupNorm(8, outward),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
