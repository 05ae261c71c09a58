"""Image files to one uint8 tensor; images to another size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cl_bench.errors import UserError

RESIZED = "resized to {0}×{0} by antialiased bicubic interpolation"  # what `decode` and `resized` do
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


def image_files(folder: Path) -> list[Path]:
    """All image files below `folder`, at any depth, hidden ones left out, in the order of their paths."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    visible = (p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    return sorted(path for path in visible if path.is_file())


def sides(path: Path) -> tuple[int, int]:
    """Width and height of an image, from its header. Raises UserError when it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            return file.size
    except (UnidentifiedImageError, OSError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); remove or replace it") from error


def decode(paths: Sequence[Path], size: int) -> Tensor:
    """RGB images of `size`×`size` pixels, uint8 (n, 3, size, size): the largest centred square of each file,
    resized by antialiased bicubic interpolation where it has another size.

    Raises UserError naming the first file that cannot be read.
    """
    images = np.empty((len(paths), size, size, 3), dtype=np.uint8)

    def read(index: int) -> None:
        images[index] = _decode(paths[index], size)

    # Pillow decodes outside Python's lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(read, range(len(paths))):
            pass
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def resized(x: Tensor, size: int) -> Tensor:
    """Square images made `size`×`size` pixels by antialiased bicubic interpolation, as Pillow's; `x` itself
    where that is their size. x: uint8 (n, C, H, H)."""
    if x.shape[-1] == size:
        return x
    return functional.interpolate(x, size, mode="bicubic", antialias=True)


def _decode(path: Path, size: int) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read as an image ({error}); remove or replace it") from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
