"""The networks of the ResNet GAN: residual blocks without any normalisation, and a place for labels in both.

Paper: L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", 2018
(arXiv 1801.04406), appendix, and the authors' release for 256 pixels, from which the constants below are: a
generator of seven blocks, 1024 to 64 channels, between 4 and 256 pixels; a discriminator that mirrors it.

  block:          x ↦ shortcut(x) + 0.1 · conv(a(conv(a(x)))), a: leaky ReLU of slope 0.2, 3×3 convolutions
                  with min(in, out) channels between them; shortcut: 1×1 without bias where widths differ
  generator:      [z, label] → linear → block, (enlarge ×2 by nearest pixels, block)… → a → convolution → tanh
  discriminator:  convolution → block, (mean over 3×3 at stride 2, block)… → a → linear to a logit per class,
                  of which the label picks one

Deviations: other sizes than 256 are ours (`WIDTHS`), with 3×3 instead of 7×7 convolutions at the image.
Networks start from 4 to 8 pixels at the longer side; where doubling does not meet the image's size, the
generator crops and the discriminator pads with zeros.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Size = Literal["tiny", "px32", "px32-wide", "px64", "px256"]

# Channels from the image towards the start; the last number goes on where an image needs more.
WIDTHS: dict[str, tuple[int, ...]] = {
    "tiny": (16, 32, 64, 64),
    "px32": (128, 256, 256, 512, 512),
    "px32-wide": (128, 256, 512, 1024, 1024),
    "px64": (64, 128, 256, 512, 1024, 1024),
    "px256": (64, 64, 128, 256, 512, 1024, 1024, 1024),
}
RESIDUAL = 0.1
SLOPE = 0.2


@dataclass(frozen=True)
class Geometry:
    """shape: of the images, (C, H, W). start: (h, w) of the first block. widths: channels before the first
    block and after each, start first. kernel: of the convolution at the image."""

    shape: tuple[int, ...]
    start: tuple[int, int]
    widths: tuple[int, ...]
    kernel: int

    @property
    def flat(self) -> int:
        """Values at the start."""
        return self.widths[0] * self.start[0] * self.start[1]

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Zeros that bring an image to the size of the last block: left, right, top, bottom."""
        scale = 2 ** (len(self.widths) - 2)
        return 0, self.start[1] * scale - self.shape[2], 0, self.start[0] * scale - self.shape[1]


def geometry(shape: tuple[int, ...], size: Size) -> Geometry:
    """The networks of `size` for images of `shape` (C, H, W)."""
    _, height, width = shape
    halvings = max(math.floor(math.log2(max(height, width) / 4)), 1)
    start = (math.ceil(height / 2**halvings), math.ceil(width / 2**halvings))
    widths = WIDTHS[size] + (halvings + 2) * WIDTHS[size][-1:]
    return Geometry(shape, start, widths[: halvings + 2][::-1], 7 if size == "px256" else 3)


def activated(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, SLOPE)


class Block(nn.Module):
    """(n, inward, h, w) to (n, outward, h, w)."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        hidden = min(inward, outward)
        self.first = nn.Conv2d(inward, hidden, 3, padding=1)
        self.second = nn.Conv2d(hidden, outward, 3, padding=1)
        self.shortcut = nn.Identity() if inward == outward else nn.Conv2d(inward, outward, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.second(activated(self.first(activated(x))))
        return self.shortcut(x) + RESIDUAL * residual


class GeneratorBody(nn.Module):
    """(n, flat) to images (n, C, H, W) in [−1, 1]."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(geometry.widths))
        self.image = nn.Conv2d(
            geometry.widths[-1], geometry.shape[0], geometry.kernel, padding=geometry.kernel // 2
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(-1, self.geometry.widths[0], *self.geometry.start)
        for index, block in enumerate(self.blocks):
            x = block(functional.interpolate(x, scale_factor=2) if index else x)
        x = torch.tanh(self.image(activated(x)))
        return x[:, :, : self.geometry.shape[1], : self.geometry.shape[2]]


class GeneratorNetwork(nn.Module):
    """f(z, y): noise (n, latent) and labels (n,) to images (n, C, H, W) in [−1, 1].

    embedding: dimensions of a label's learned embedding, concatenated with z.
    """

    def __init__(self, geometry: Geometry, latent: int, labels: int, embedding: int) -> None:
        super().__init__()
        self.latent = latent
        self.label = nn.Embedding(labels, embedding)
        self.fc = nn.Linear(latent + embedding, geometry.flat)
        self.body = GeneratorBody(geometry)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.body(self.fc(torch.cat([z, self.label(y)], 1)))


class DiscriminatorBody(nn.Module):
    """Images (n, C, H, W) in [−1, 1] to features (n, flat)."""

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        widths = geometry.widths[::-1]
        self.image = nn.Conv2d(geometry.shape[0], widths[0], geometry.kernel, padding=geometry.kernel // 2)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = self.image(functional.pad(x, self.geometry.padding))
        for index, block in enumerate(self.blocks):
            x = block(functional.avg_pool2d(x, 3, stride=2, padding=1) if index else x)
        return activated(x).flatten(1)


class Discriminator(nn.Module):
    """f(x, y): images (n, C, H, W) in [−1, 1] and labels (n,) to logits (n,) of being real."""

    def __init__(self, geometry: Geometry, labels: int) -> None:
        super().__init__()
        self.body = DiscriminatorBody(geometry)
        self.fc = nn.Linear(geometry.flat, labels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc(self.body(x)).gather(1, y[:, None]).squeeze(1)
