"""Random flips and crops of a whole batch at once, on the device it lies on.

The usual augmentation of small images (He et al. 2016, "Deep Residual Learning", §4.2): pad by a few pixels
of zeros, crop at a random place, mirror left to right with probability ½. One gather does all three.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """crop: pixels of zero padding on each side before a random crop, 0 for none. flip: mirror at random."""

    crop: int = 0
    flip: bool = False

    def __str__(self) -> str:
        parts = [f"random crop with {self.crop} pixels of padding"] * (self.crop > 0)
        parts += ["random horizontal flip"] * self.flip
        return ", ".join(parts) or "none"

    def __bool__(self) -> bool:
        return self.crop > 0 or self.flip

    def __call__(self, x: Tensor) -> Tensor:
        """Images (n, C, H, W) of any type to the same, each moved in its own way. Draws from torch's global
        generator of x's device."""
        if not self:
            return x
        n, channels, height, width = x.shape
        padded = torch.nn.functional.pad(x, (self.crop,) * 4)
        rows, columns = (torch.arange(size, device=x.device) for size in (height, width))
        if self.crop:
            rows = rows + torch.randint(2 * self.crop + 1, (n, 1), device=x.device)
            offset = torch.randint(2 * self.crop + 1, (n, 1), device=x.device)
        else:
            rows, offset = rows.expand(n, -1), torch.zeros(n, 1, dtype=torch.int64, device=x.device)
        if self.flip:
            mirrored = torch.rand(n, 1, device=x.device) < 0.5
            columns = torch.where(mirrored, width - 1 - columns, columns)
        # Where each pixel comes from, in the padded image laid out flat.
        source = (rows * padded.shape[3])[:, :, None] + (columns + offset)[:, None, :]
        source = source.view(n, 1, -1).expand(n, channels, -1)
        return padded.view(n, channels, -1).gather(2, source).view_as(x)


NO_AUGMENTATION = Augmentation()
