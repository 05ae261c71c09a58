"""Convolutional features for internal replay: learned once, then frozen.

G. M. van de Ven et al. 2020, Nature Communications 11:4069, internal replay. As in the authors' release for
CIFAR-100: five convolutional layers of 3×3 with 16, 32, 64, 128 and 256 channels, each but the first halving
the image, batch normalisation and ReLU after each but the last; their outputs are what is replayed. A 32×32
image has 1,024 features.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
from torch import nn

from cl_bench import state as states
from cl_bench.classifier import Classifier
from cl_bench.errors import UserError
from cl_bench.state import State, under
from cl_bench.stream import StreamSpec

CHANNELS = (16, 32, 64, 128, 256)

PREFIX = "features"  # of the tensors in a strategy's checkpoint


class FrozenFeatures(Classifier):
    """`fit` trains the layers under a linear classifier of their rectified outputs; `features` gives the
    outputs, (n, size), of images, with batch normalisation by its running statistics."""

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        self.spec, self.device = spec, device
        channels, height, width = spec.shape
        layers: list[nn.Module] = []
        for stage, (inward, outward) in enumerate(itertools.pairwise((channels, *CHANNELS))):
            last = stage == len(CHANNELS) - 1
            layers.append(nn.Conv2d(inward, outward, 3, 2 if stage else 1, 1, bias=last))
            layers += [] if last else [nn.BatchNorm2d(outward), nn.ReLU()]
        scale = 2 ** (len(CHANNELS) - 1)
        self.size = CHANNELS[-1] * math.ceil(height / scale) * math.ceil(width / scale)
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(self.size, spec.num_classes)
        self.net = nn.Sequential(self.body, nn.ReLU(), self.head).to(device).eval()

    def state_dict(self) -> State:
        """Of the layers; the linear classifier has served its purpose."""
        return dict(self.body.state_dict())

    def load_state_dict(self, state: State) -> None:
        self.body.load_state_dict(state)

    def load_file(self, path: Path) -> None:
        """Take the layers of a strategy's checkpoint, or of a file of their own. Raises UserError when there
        is none, or when they do not fit."""
        saved = states.load(path)
        own = under(PREFIX, saved) or saved
        try:
            self.load_state_dict(own)
        except RuntimeError:
            shape = "×".join(map(str, self.spec.shape))
            raise UserError(
                f"features={path} holds no convolutional layers for images of {shape}; give the checkpoint "
                "of a run of brain-inspired-replay with features=task0"
            ) from None
