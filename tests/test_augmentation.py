"""Random crops and flips against the same done image by image."""

from __future__ import annotations

import torch

from cl_bench.augmentation import NO_AUGMENTATION, Augmentation
from cl_bench.seeds import isolated


def possible(image: torch.Tensor, crop: int, flip: bool) -> set[bytes]:
    """Every image that crop and flip can make of one."""
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image, (crop,) * 4)
    found = set()
    for top in range(2 * crop + 1):
        for left in range(2 * crop + 1):
            cut = padded[:, top : top + height, left : left + width]
            found.add(cut.contiguous().numpy().tobytes())
            if flip:
                found.add(cut.flip(2).contiguous().numpy().tobytes())
    return found


def made(image: torch.Tensor, augmentation: Augmentation, n: int) -> set[bytes]:
    with isolated(0):
        batch = augmentation(image.expand(n, *image.shape))
    assert batch.shape == (n, *image.shape)
    assert batch.dtype == image.dtype
    return {x.numpy().tobytes() for x in batch}


def test_every_crop_and_flip_and_nothing_else() -> None:
    image = torch.randint(1, 256, (3, 5, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for crop, flip in ((2, True), (2, False), (0, True), (1, True)):
        assert made(image, Augmentation(crop, flip), 3000) == possible(image, crop, flip)


def test_each_image_stays_itself() -> None:
    x = torch.arange(64, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    with isolated(0):
        out = Augmentation(flip=True)(x)
    assert torch.equal(out, x)


def test_none_changes_nothing() -> None:
    x = torch.randn(4, 2)
    assert NO_AUGMENTATION(x) is x
    assert str(NO_AUGMENTATION) == "none"
    assert str(Augmentation(4, True)) == "random crop with 4 pixels of padding, random horizontal flip"
