"""Samples as files for others: a folder of images per class, or one npz file. Whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from cl_bench.errors import UserError
from cl_bench.samples import Samples


def refuse_existing(out: Path) -> None:
    """Raises UserError where writing would touch what is there already."""
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} exists; name another --out, or remove it")
    if out.suffix == ".npz" and out.is_dir():
        raise UserError(f"{out} is a folder; name another --out")


def write_npz(out: Path, samples: Samples, class_names: tuple[str, ...]) -> None:
    """x (n, …) as sampled, y (n,) indices into class_names, depth (n,); `arrays:FILE.npz` reads it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                x=samples.x.numpy(),
                y=samples.y.numpy(),
                depth=samples.depth.numpy(),
                class_names=np.array(class_names),
            )
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)


def write_folder(out: Path, samples: Samples, class_names: tuple[str, ...]) -> None:
    """PNG files out/<class>/00000.png, lossless; `folder:PATH` and torchvision's ImageFolder read them.
    Raises UserError for anything but images."""
    from PIL import Image

    if samples.x.ndim != 4:
        raise UserError("only images are written to a folder; name an --out that ends in .npz")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for c in samples.classes:
            folder = part / _file_name(class_names[c])
            folder.mkdir(parents=True)
            for i, image in enumerate(samples.of((c,)).x):
                Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).save(folder / f"{i:05d}.png")
        if out.is_dir():
            out.rmdir()
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _file_name(name: str) -> str:
    """A class name as a folder: without what a file system minds."""
    return "".join(ch if ch.isalnum() or ch in "-_.+ " else "_" for ch in name).strip(". ") or "_"
