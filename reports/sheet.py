"""Many small images as one WebP picture, which a page cuts up again."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass

import numpy as np

QUALITY = 55
LOSSLESS_BYTES = 400_000  # of pixels: small images, as 8×8 digits, are kept exactly


@dataclass(frozen=True)
class Sheet:
    """Images side by side, row after row, in `columns`."""

    webp: bytes
    columns: int

    @property
    def uri(self) -> str:
        return f"data:image/webp;base64,{base64.b64encode(self.webp).decode('ascii')}"


def sheet(images: np.ndarray) -> Sheet:
    """Images (n, C, h, w) uint8, n ≥ 1, C of 1 or 3, as one picture: exactly where they are few or small,
    else as WebP compresses them."""
    from PIL import Image

    n, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    cells = np.zeros((rows * columns, channels, height, width), np.uint8)
    cells[:n] = images
    grid = cells.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = grid.reshape(rows * height, columns * width, channels)
    picture = Image.fromarray(pixels.repeat(3, axis=2) if channels == 1 else pixels)
    out = io.BytesIO()
    picture.save(out, "WEBP", lossless=images.size <= LOSSLESS_BYTES, quality=QUALITY, method=4)
    return Sheet(out.getvalue(), columns)
