"""ResNet-32 for small images, the usual classifier of class-incremental learning on CIFAR-100.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 1512.03385),
§4.2: a 3×3 convolution, then three stages of five blocks with 16, 32 and 64 channels, each stage but the
first halving the image, then the mean over pixels. Shortcuts have no parameters (option A): where a stage
begins, every other pixel is taken and the new channels are zero. 0.46 M parameters with ten classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import pad, relu

BLOCKS = 5  # per stage: 6 · 5 + 2 = 32 layers with weights
CHANNELS = (16, 32, 64)


class Block(nn.Module):
    """ReLU(x + F(x)), F two 3×3 convolutions with batch normalisation; a stride of 2 halves the image and
    pads the channels of x with zeros."""

    def __init__(self, inward: int, outward: int, stride: int) -> None:
        super().__init__()
        self.stride, self.missing = stride, outward - inward
        self.residual = nn.Sequential(
            nn.Conv2d(inward, outward, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outward),
            nn.ReLU(inplace=True),
            nn.Conv2d(outward, outward, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outward),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inward, H, W) to (n, outward, ⌈H/stride⌉, ⌈W/stride⌉)."""
        before = self.missing // 2
        shortcut = x[:, :, :: self.stride, :: self.stride]
        return relu(self.residual(x) + pad(shortcut, (0, 0, 0, 0, before, self.missing - before)))


def resnet32(channels: int) -> nn.Sequential:
    """Images (n, channels, H, W) to (n, 64)."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, CHANNELS[0], 3, 1, 1, bias=False),
        nn.BatchNorm2d(CHANNELS[0]),
        nn.ReLU(inplace=True),
    ]
    inward = CHANNELS[0]
    for outward in CHANNELS:
        for block in range(BLOCKS):
            stride = 2 if block == 0 and outward > CHANNELS[0] else 1
            layers.append(Block(inward, outward, stride))
            inward = outward
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            # K. He et al., "Delving Deep into Rectifiers", 2015, as §3.4 of the paper has it.
            nn.init.kaiming_normal_(module.weight)
    return net
