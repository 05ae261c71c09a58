"""Pictures of tasks: how many, how heavy, whole, and small ones on one sheet."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from cl_bench.reports.pictures import Picture, lighter, whole
from cl_bench.reports.sheet import sheet
from cl_bench.reports.task_pictures import shown

MEGABYTE = 1_000_000


def png(height: int, width: int, seed: int = 0) -> bytes:
    """Noise, which compresses badly."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def test_pictures_of_at_most_ten_tasks() -> None:
    assert shown(3, every=True) == [0, 1, 2]
    assert shown(100, every=True) == [0, 11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert shown(100, every=False) == [99]
    assert shown(0, every=False) == shown(0, every=True) == []


def test_pictures_become_lighter_and_say_so() -> None:
    pictures = [Picture("noise.", png(200, 300, seed), file=f"task_0{seed}/samples.png") for seed in (0, 1)]
    assert lighter(pictures, MEGABYTE) == pictures
    smooth = np.tile(np.arange(200, dtype=np.uint8)[:, None, None], (1, 300, 3))
    out = io.BytesIO()
    Image.fromarray(smooth).save(out, "PNG", compress_level=0)
    exact = lighter([Picture("smooth.", out.getvalue())], 100_000)
    assert exact is not None
    assert exact[0].caption == "smooth."
    assert (picture(exact[0].uri) == smooth).all(), "exactly, where that is enough"
    lossy = lighter(pictures, 60_000)
    assert lossy is not None
    assert sum(len(one.uri) for one in lossy) < 61_000
    assert lossy[1].caption == "noise. Compressed for this page; task_01/samples.png is not."
    assert lighter(pictures, 100) is None


def test_half_a_picture_is_none() -> None:
    data = png(4, 4)
    assert whole(data)
    assert not any(whole(data[:cut]) for cut in range(len(data)))


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def test_a_sheet_of_small_images_is_exact() -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 3, 5, 7), dtype=np.uint8)
    made = sheet(images)
    pixels = picture(made.uri)
    for i, image in enumerate(images):
        top, left = 5 * (i // made.columns), 7 * (i % made.columns)
        assert (pixels[top : top + 5, left : left + 7] == image.transpose(1, 2, 0)).all()


def test_a_sheet_of_many_images_is_near_enough() -> None:
    """Smooth images, as photographs are: within a few grey levels of 255 on average."""
    ramp = np.linspace(0, 200, 32)
    shift = np.random.default_rng(0).integers(0, 55, (300, 1, 1, 1))
    images = np.tile(shift + (ramp[:, None] + ramp[None, :]) / 2, (1, 3, 1, 1)).astype(np.uint8)
    made = sheet(images)
    pixels = picture(made.uri).astype(float)
    for i, image in enumerate(images):
        top, left = 32 * (i // made.columns), 32 * (i % made.columns)
        cut = pixels[top : top + 32, left : left + 32]
        assert np.abs(cut - image.transpose(1, 2, 0)).mean() < 6
    assert len(made.webp) < images.size / 40
