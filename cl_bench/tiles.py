"""Images of several classes as one picture: a row per class, a pixel of white between."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cl_bench.samples import Samples


def tiles(part: Samples, classes: Sequence[int], columns: int) -> Tensor:
    """The first `columns` images of each of `classes`: (height, width[, 3]) uint8."""
    channels, height, width = part.x.shape[1:]
    canvas = torch.full(
        (len(classes) * (height + 1), columns * (width + 1), channels), 255, dtype=torch.uint8
    )
    for row, c in enumerate(classes):
        for column, image in enumerate(part.of((c,)).x[:columns]):
            top, left = row * (height + 1), column * (width + 1)
            canvas[top : top + height, left : left + width] = image.permute(1, 2, 0)
    return canvas.squeeze(2)
