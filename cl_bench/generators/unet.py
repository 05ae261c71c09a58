"""The network of the diffusion and flow generators: diffusers' UNet, conditioned on time and class.

O. Ronneberger, P. Fischer, T. Brox, "U-Net", 2015; J. Ho, A. Jain, P. Abbeel 2020, appendix B, as
`UNet2DModel` of diffusers. Images are cut into patches first where that makes a CPU fast enough (pixel
unshuffle), and padded where their sides do not halve often enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.stream import StreamSpec

Size = Literal["micro", "tiny", "small", "base", "large"]


@dataclass(frozen=True)
class Shape:
    """channels: of each level. layers: residual blocks per level. attention: at how many of the last levels.
    patch: pixels per side that become one."""

    channels: tuple[int, ...]
    layers: int
    attention: int
    patch: int = 1


SIZES: dict[str, Shape] = {
    "micro": Shape((64, 128), 1, 0, patch=4),
    "tiny": Shape((64, 128), 1, 0, patch=2),
    "small": Shape((64, 128, 128), 2, 1),
    "base": Shape((128, 256, 256, 256), 2, 1),
    "large": Shape((128, 128, 256, 256, 512), 2, 2),
}


class UNet(nn.Module):
    """f(x, t, y): images (n, C, H, W), times (n,) in [0, 1], labels (n,) to (n, C, H, W).

    Label `num_classes` means "any class", for guidance without a classifier.
    """

    def __init__(self, spec: StreamSpec, size: Size, dropout: float, progress: Progress) -> None:
        super().__init__()
        if spec.modality != "image":
            raise UserError(f"this generator makes images, not {spec.modality} data")
        with progress.loading("diffusers"):
            from diffusers.models.unets.unet_2d import UNet2DModel

        shape = SIZES[size]
        channels, height, width = spec.shape
        # 8×8 digits are small enough as they are.
        self.patch = min(shape.patch, max(min(height, width) // 8, 1))
        step = self.patch * 2 ** (len(shape.channels) - 1)
        down, across = -height % step, -width % step
        self.padding = (across // 2, across - across // 2, down // 2, down - down // 2)
        levels = len(shape.channels)
        attended = [level >= levels - shape.attention for level in range(levels)]
        self.net: Any = UNet2DModel(
            in_channels=channels * self.patch**2,
            out_channels=channels * self.patch**2,
            block_out_channels=shape.channels,
            layers_per_block=shape.layers,
            down_block_types=tuple("AttnDownBlock2D" if on else "DownBlock2D" for on in attended),
            up_block_types=tuple("AttnUpBlock2D" if on else "UpBlock2D" for on in reversed(attended)),
            add_attention=shape.attention > 0,
            dropout=dropout,
            num_class_embeds=spec.num_classes + 1,
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        height, width = x.shape[2:]
        left, _, top, _ = self.padding
        x = nn.functional.pixel_unshuffle(nn.functional.pad(x, self.padding), self.patch)
        # Sinusoidal embeddings are made for times up to 1000.
        out = self.net(x, 1000 * t, y).sample
        out = nn.functional.pixel_shuffle(out, self.patch)
        return out[:, :, top : top + height, left : left + width]
