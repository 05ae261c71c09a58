"""Samples that others made: a folder of images, or an npz file; the counterpart of generated_files.py."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_bench.errors import UserError
from cl_bench.images import decode, image_files, sides
from cl_bench.samples import Samples
from cl_bench.stream import Modality

ONE = "all"  # the class of samples without labels


@dataclass(frozen=True)
class SampleSet:
    """Samples with the names of their classes; one class, "all", where there are no labels."""

    modality: Modality
    samples: Samples
    class_names: tuple[str, ...]

    def named(self, names: tuple[str, ...], where: str) -> SampleSet:
        """The same with labels that count in `names`. where: the set, for messages. Raises UserError for a
        class that is not among them."""
        lacking = [name for name in self.class_names if name not in names]
        if lacking:
            raise UserError(f"{where} has a class {lacking[0]!r}, which the first set lacks")
        new = torch.tensor([names.index(name) for name in self.class_names])
        return SampleSet(self.modality, Samples.real(self.samples.x, new[self.samples.y]), names)


def read_samples(path: Path, size: int | None = None) -> SampleSet:
    """A folder of images, in a folder per class or all in one, or an npz file with x and, if it likes, y and
    class_names, as `generate` writes it.

    size: pixels per side to resize images of a folder to; None takes them as they are. Raises UserError for
    what cannot be read, and for images of several sizes where no size is given.
    """
    if path.suffix == ".npz":
        if size is not None:
            raise UserError(f"--size {size} has no effect on arrays; {path} is taken as it is")
        return _arrays(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder or npz file")
    return _images(path, size)


def _images(folder: Path, size: int | None) -> SampleSet:
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    found = [image_files(c) for c in classes] if classes else [image_files(folder)]
    names = tuple(c.name for c in classes) or (ONE,)
    files = [file for of_class in found for file in of_class]
    if not files:
        raise UserError(f"{folder} holds no images")
    if size is None:
        shapes = {sides(file): file for file in files}
        if len(shapes) > 1 or any(width != height for width, height in shapes):
            told = ", ".join(f"{width}×{height}" for width, height in sorted(shapes)[:3])
            raise UserError(f"{folder} has images of {told} pixels; choose one --size")
        ((size, _),) = shapes
    y = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(part) for part in found]))
    return SampleSet("image", Samples.real(decode(files, size), y), names)


def _arrays(path: Path) -> SampleSet:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in ("x", "y", "class_names")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read as an npz file of plain arrays: {error}") from error
    if "x" not in arrays:
        raise UserError(f"{path} has no array x")
    modality, x = values(path, "x", arrays["x"])
    if "y" not in arrays:
        return SampleSet(modality, Samples.real(x, torch.zeros(len(x)).long()), (ONE,))
    y = arrays["y"]
    if y.shape != (len(x),) or y.dtype.kind not in "iuU":
        raise UserError(f"{path}: y must be {len(x)} whole numbers or texts, got {y.dtype} {y.shape}")
    labels, index = np.unique(y, return_inverse=True)
    names = tuple(map(str, labels))
    if "class_names" in arrays:
        given = arrays["class_names"]
        if y.dtype.kind == "U" or given.ndim != 1 or labels.min() < 0 or labels.max() >= len(given):
            raise UserError(f"{path}: y must count in class_names, from 0 to {len(given) - 1}")
        names = tuple(str(given[label]) for label in labels)
    return SampleSet(modality, Samples.real(x, torch.from_numpy(index).long()), names)


def values(path: Path, name: str, x: np.ndarray) -> tuple[Modality, Tensor]:
    """Array `name` of the file `path` as a stream has it: uint8 images (n, H, W), (n, H, W, C) or (n, C, H,
    W) with C 1 or 3 become (n, C, H, W), vectors (n, d) float32. Raises UserError for anything else."""
    if x.dtype == np.uint8 and x.ndim in (3, 4):
        if x.ndim == 3:
            x = x[:, None]
        elif x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
            x = x.transpose(0, 3, 1, 2)
        if x.shape[1] in (1, 3):
            return "image", torch.from_numpy(np.ascontiguousarray(x))
    elif x.dtype.kind in "fiu" and x.ndim == 2:
        vectors = torch.from_numpy(x.astype(np.float32))
        if not bool(vectors.isfinite().all()):
            bad = int((~vectors.isfinite()).any(1).nonzero()[0])
            raise UserError(f"{path}: {name} holds NaN or infinity, first in sample {bad}")
        return "vector", vectors
    raise UserError(
        f"{path}: {name} is {x.dtype} {x.shape}; expected uint8 images (n, H, W), (n, H, W, C) or (n, C, H, "
        "W) with C 1 or 3, or vectors (n, d)"
    )
