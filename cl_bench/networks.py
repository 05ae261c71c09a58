"""The networks behind classifiers: a multi-layer perceptron for small data, a convolutional one for images.

They are deliberately small: a whole stream trains on a CPU. Normalisation is by group (Y. Wu, K. He, "Group
Normalization", 2018), not by batch, whose running statistics drift from task to task.
"""

from __future__ import annotations

import itertools
import math

from torch import nn

from cl_bench.stream import StreamSpec

MLP_LIMIT = 1024  # values per sample up to which an image needs no convolutions: 28×28 grey, say


def body(spec: StreamSpec, width: int, dropout: float = 0.0) -> nn.Sequential:
    """Everything up to the last hidden layer: (n, *spec.shape) float to (n, width), after a ReLU."""
    size = math.prod(spec.shape)
    if spec.modality == "image" and size > MLP_LIMIT:
        return _convolutional(spec.shape[0], min(spec.shape[1:]), width, dropout)
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
    """3×3 convolutions, each but the first halving the image down to 4 pixels, then the mean over pixels.

    With a hidden layer after the mean, the fifth task of CIFAR-100 was learned no better than by chance.
    """
    halvings = max(math.ceil(math.log2(size / 4)), 0)
    sizes = [channels, *(min(32 * 2**k, width) for k in range(halvings)), width]
    layers: list[nn.Module] = []
    for stage, (inward, outward) in enumerate(itertools.pairwise(sizes)):
        layers += [
            nn.Conv2d(inward, outward, 3, stride=1 if stage == 0 else 2, padding=1, bias=False),
            nn.GroupNorm(8, outward),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout))
