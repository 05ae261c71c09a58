"""ImageNet features of torchvision's ResNet-50.

K. He et al., "Deep Residual Learning", 2016; weights IMAGENET1K_V2 of torchvision. Images are resized to
224×224 pixels, bilinearly and antialiased, as for torchvision's own test, but whole: no margin is cut off.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cl_bench import register_extractor
from cl_bench.extractors.published import Published, fill
from cl_bench.stream import StreamSpec
from cl_bench.torchvision_networks import DEVIATION, MEAN

SIDE = 224


@register_extractor("resnet50")
class ResNet50(Published):
    """ResNet-50 trained on ImageNet by torchvision, 2,048 features."""

    title = "ResNet-50 (ImageNet)"

    @classmethod
    def url(cls) -> str:
        from torchvision.models import ResNet50_Weights

        return str(ResNet50_Weights.IMAGENET1K_V2.url)

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        from torchvision.models import resnet50

        net = resnet50(weights=None)
        fill(net, self.tensors(), self.weights())
        net.fc = torch.nn.Identity()
        self.net = net.to(device).eval().requires_grad_(False)

    def of_batch(self, x: Tensor) -> Tensor:
        return self.net(normalised(x, SIDE))


def normalised(x: Tensor, side: int) -> Tensor:
    """uint8 images (n, 3, H, W), antialiased to side×side, as ImageNet's networks want them."""
    if x.shape[2:] != (side, side):
        size = (side, side)
        x = functional.interpolate(x.float(), size, mode="bilinear", antialias=True, align_corners=False)
    mean, deviation = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (x.float() / 255 - mean) / deviation
