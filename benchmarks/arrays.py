"""Any arrays: `arrays:FILE.npz` with images or vectors and their labels.

The file holds `x_train`, `y_train`, `x_test`, `y_test` (the layout of Keras' data sets) or `x` and `y`, of
which a fifth of each class, drawn by a fixed seed, becomes the test set; and, if it likes, `class_names`.
Images are uint8, (n, H, W), (n, H, W, C) or (n, C, H, W) with C 1 or 3; vectors are of any numeric type, (n,
d). Labels are whole numbers or texts. Nothing in it is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Gt, Lt

from cl_bench import register_benchmark
from cl_bench.benchmark import Benchmark, UnknownClasses
from cl_bench.data_set import DataSet
from cl_bench.errors import UserError
from cl_bench.parametrised import Parametrised
from cl_bench.sample_files import values
from cl_bench.samples import Samples
from cl_bench.stream import Modality, RealData, held_out


@dataclass(frozen=True)
class ArrayFile(DataSet):
    """An npz file. test_fraction: of each class, where the file has no test part."""

    path: Path
    test_fraction: float

    name = "arrays"
    title = "the array file"

    def files(self, root: Path) -> list[Path]:
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file; expected an npz file with arrays x and y")
        return [self.path]

    def read(self, root: Path) -> RealData:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise self._wrong(f"it cannot be read as an npz file of plain arrays: {error}") from error
        pairs = [("x_train", "y_train"), ("x_test", "y_test")]
        if "x_train" not in arrays:
            pairs = [("x", "y")]
        missing = [name for pair in pairs for name in pair if name not in arrays]
        if missing:
            found = ", ".join(arrays) or "nothing"
            raise self._wrong(f"no array {missing[0]}; expected x and y, or x_train … y_test; found {found}")
        names, classes = self._class_names(arrays, [y for _, y in pairs])
        parts = [self._samples(arrays, x, y, classes) for x, y in pairs]
        if len({(m, tuple(part.x.shape[1:])) for m, part in parts}) > 1:
            raise self._wrong("x_train and x_test must be of one kind and shape")
        modality, first = parts[0]
        train, test = (
            held_out(first, self.test_fraction, "arrays test") if len(parts) == 1 else (first, parts[1][1])
        )
        for part, where in ((train, "training"), (test, "test")):
            lacking = sorted(set(range(len(names))) - set(part.classes))
            if lacking:
                raise self._wrong(f"class {names[lacking[0]]!r} has no {where} samples")
        return RealData(modality, names, train, test)

    def _wrong(self, problem: str) -> UserError:
        return UserError(f"{self.path}: {problem}")

    def _class_names(
        self, arrays: Mapping[str, np.ndarray], labels: list[str]
    ) -> tuple[tuple[str, ...], np.ndarray]:
        """Names, and the label each stands for, ascending."""
        for name in labels:
            if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iuU":
                shape = f"{arrays[name].dtype} {arrays[name].shape}"
                raise self._wrong(f"{name} must be whole numbers or texts, (n,); got {shape}")
        classes = np.unique(np.concatenate([arrays[name] for name in labels]))
        if len(classes) < 2:
            raise self._wrong(f"{len(classes)} class in {labels[0]}; expected at least 2")
        if "class_names" not in arrays:
            return tuple(str(c) for c in classes), classes
        given = arrays["class_names"]
        if given.shape != classes.shape or given.dtype.kind != "U":
            raise self._wrong(f"class_names must be {len(classes)} texts; got {given.dtype} {given.shape}")
        return tuple(map(str, given)), classes

    def _samples(
        self, arrays: Mapping[str, np.ndarray], x: str, y: str, classes: np.ndarray
    ) -> tuple[Modality, Samples]:
        if len(arrays[x]) != len(arrays[y]):
            raise self._wrong(f"{x} has {len(arrays[x])} samples, {y} {len(arrays[y])} labels")
        modality, found = values(self.path, x, arrays[x])
        return modality, Samples.real(found, torch.from_numpy(np.searchsorted(classes, arrays[y])).long())


@dataclass(frozen=True)
class ArraysOptions(UnknownClasses):
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """share of each class that is the test set, where the file has no test part"""


@register_benchmark("arrays")
class Arrays(Parametrised, Benchmark):
    """arrays:FILE.npz, your own images or vectors with labels."""

    takes = "FILE.npz"
    source = "a file of the user's"
    generator = "none"
    Options = ArraysOptions

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        return super().parametrised(str(Path(argument).expanduser().absolute()))

    def data_set(self) -> ArrayFile:
        return ArrayFile(Path(self.argument), self.options.test_fraction)
