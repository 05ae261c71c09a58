"""ResNet-18 and AlexNet as torchvision has them, with its ImageNet weights or without, for images of any
size.

K. He et al., "Deep Residual Learning", 2016 (arXiv 1512.03385); A. Krizhevsky, "One weird trick for
parallelizing convolutional neural networks", 2014 (1404.5997), whose one-column form torchvision's AlexNet
is.

- resnet18 for images of at most 64 pixels has the form usual on CIFAR: a 3×3 convolution of stride 1 and no
  max-pooling before the first stage. 11.17 M parameters with ten classes.
- alexnet takes images from 63 pixels on: smaller ones are enlarged to 64, bilinearly, as DDGR's release does.
- pretrained: the stem and the layers are those that were trained, images below 64 pixels are enlarged to
  64, grey ones repeated for three channels, and all are normalised by ImageNet's mean and deviation. Weights
  are never downloaded: the file must lie in torch hub's cache.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cl_bench.errors import UserError

PRETRAINED = ("alexnet", "resnet18")

SMALL = 64  # pixels of the shorter side up to which an image is small

# Of ImageNet in [0, 1], as torchvision's weights were trained with.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resnet18(shape: tuple[int, ...], pretrained: bool) -> nn.Sequential:
    """Images (n, *shape) in [−1, 1] to (n, 512)."""
    from torchvision.models import resnet18 as published

    net = published(weights=None)
    if pretrained:
        load("resnet18", net)
    elif min(shape[1:]) <= SMALL:
        net.conv1 = nn.Conv2d(shape[0], 64, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    else:
        net.conv1 = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
    if not pretrained:
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.fc = nn.Identity()
    return nn.Sequential(*_entrance(shape, pretrained, enlarge=pretrained), net)


def alexnet(shape: tuple[int, ...], pretrained: bool) -> nn.Sequential:
    """Images (n, *shape) in [−1, 1] to (n, 4096)."""
    from torchvision.models import alexnet as published

    net = published(weights=None)
    if pretrained:
        load("alexnet", net)
    else:
        net.features[0] = nn.Conv2d(shape[0], 64, 11, 4, 2)
    net.classifier = net.classifier[:-1]
    return nn.Sequential(*_entrance(shape, pretrained, enlarge=True), net)


def _entrance(shape: tuple[int, ...], pretrained: bool, enlarge: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    shorter = min(shape[1:])
    if enlarge and shorter < SMALL:
        size = tuple(side * SMALL // shorter for side in shape[1:])
        layers.append(nn.Upsample(size, mode="bilinear", align_corners=False))
    if pretrained:
        if shape[0] not in (1, 3):
            raise UserError(f"pretrained=true takes images of 1 or 3 channels, not {shape[0]}")
        layers.append(ImageNetColours())
    return layers


class ImageNetColours(nn.Module):
    """Images (n, 1 or 3, H, W) in [−1, 1] to three channels normalised as ImageNet's."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return ((x + 1) / 2 - self.mean) / self.deviation


def weights_file(name: str) -> Path:
    """Where torch hub keeps torchvision's ImageNet weights of `name`, one of PRETRAINED."""
    from torchvision.models import get_model_weights

    url: str = get_model_weights(name).IMAGENET1K_V1.url
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def load(name: str, net: nn.Module) -> None:
    """Give `net`, torchvision's `name` with its thousand classes, its ImageNet weights. Raises UserError when
    the file is missing or holds something else."""
    path = weights_file(name)
    if not path.is_file():
        raise UserError(
            f"pretrained=true: no {path.name} in {path.parent}; put torchvision's ImageNet weights there"
        )
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"pretrained=true: {path} does not hold {name}'s weights: {reason}") from None
