"""Pictures on a page, and how they are made lighter until they fit."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# Each step is (quality, share of the width): without loss first, then ever smaller.
_STEPS = ((None, 1.0), (75, 1.0), (60, 0.75), (45, 0.6), (35, 0.45), (30, 0.3))
_LONGEST = 16_000  # pixels; WebP takes 16,383
_BASE64 = 4 / 3
_HOPELESS = 3  # times over budget, where exact copies will not do
_TALL = 1000  # pixels


@dataclass(frozen=True)
class Picture:
    """A PNG, or what `kind` says, and how to read it. wide: a phone should scroll it rather than shrink it.
    file: where the original lies, as a reader would say it, or "". width: to show it at, in CSS pixels, where
    there is room; 0 for as wide as it goes."""

    caption: str
    png: bytes
    wide: bool = False
    kind: str = "png"
    file: str = ""
    width: int = 0

    @property
    def uri(self) -> str:
        return f"data:image/{self.kind};base64,{base64.b64encode(self.png).decode('ascii')}"

    @property
    def tall(self) -> bool:
        """Whether it is so long that it has to scroll."""
        return self.wide and _height(self.png, self.kind) > _TALL


def whole(png: bytes) -> bool:
    """Whether these are the bytes of a PNG from beginning to end."""
    return png.startswith(_PNG) and png.endswith(_PNG_END)


def lighter(pictures: Sequence[Picture], budget: int) -> list[Picture] | None:
    """`pictures` in at most `budget` bytes of page: as they are where that is enough, else as WebP, all by
    one rule, exactly if possible; captions say when not. None where nothing is enough."""
    total = _bytes(pictures)
    if total <= budget:
        return list(pictures)
    decoded = [_decoded(picture) for picture in pictures]
    for quality, width in _STEPS:
        if quality is None and total > _HOPELESS * budget:
            continue
        made: list[Picture] = []
        for picture, image in zip(pictures, decoded, strict=True):
            made.append(picture if image is None else _as_webp(picture, image, quality, width))
            if _bytes(made) > budget:
                break
        else:
            return made
    return None


def _bytes(pictures: Sequence[Picture]) -> float:
    return sum(len(picture.png) for picture in pictures) * _BASE64


def _decoded(picture: Picture) -> Image | None:
    """None where it cannot be read."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(picture.png)).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _as_webp(picture: Picture, image: Image, quality: int | None, width: float) -> Picture:
    """The same in other bytes; itself where that is lighter."""
    from PIL.Image import Resampling

    width = min(width, _LONGEST / max(image.size))
    if width < 1:
        columns, rows = (max(1, round(side * width)) for side in image.size)
        image = image.resize((columns, rows), Resampling.LANCZOS)
    out = io.BytesIO()
    if quality is None:
        image.save(out, "WEBP", lossless=True, quality=30, method=2)
    else:
        image.save(out, "WEBP", quality=quality, method=2)
    if len(out.getvalue()) >= len(picture.png):
        return picture
    exact = quality is None and width >= 1
    original = f"; {picture.file} is not" if picture.file else ""
    caption = picture.caption if exact else f"{picture.caption} Compressed for this page{original}."
    return replace(picture, caption=caption, png=out.getvalue(), kind="webp")


def _height(data: bytes, kind: str) -> int:
    from PIL import Image

    if kind == "png":  # without decoding: this is asked of each picture
        return int.from_bytes(data[20:24], "big")
    return Image.open(io.BytesIO(data)).size[1]
