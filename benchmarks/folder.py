"""Any folder of images: `folder:PATH` with a subfolder per class, and faces as a self-consuming loop.

`folder:PATH` is a class-incremental stream. PATH holds a folder per class, or `train` and `test` (or `val`)
that do; without the latter a fifth of each class, drawn by a fixed seed, is the test set. Classes come in the
order of their names.

`ffhq64` is one class of faces at 64×64 for loops without labels: T. Karras, S. Laine, T. Aila, "A Style-Based
Generator Architecture", 2019 (FFHQ, 70,000 faces, CC BY-NC-SA 4.0), or any folder of images in its place. The
last seventh by name is the test set: of the full set, the authors' own 10,000 validation faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt

from cl_bench import register_benchmark
from cl_bench.augmentation import Augmentation
from cl_bench.benchmark import Benchmark, StationaryBenchmark, UnknownClasses
from cl_bench.data_set import DataSet
from cl_bench.errors import UserError
from cl_bench.images import RESIZED, decode, image_files
from cl_bench.parametrised import Parametrised
from cl_bench.samples import Samples
from cl_bench.stream import RealData, held_out

TRANSFORMS = f"largest centred square, {RESIZED}, RGB"


@dataclass(frozen=True)
class ClassFolders(DataSet):
    """Images in a folder per class. resolution: pixels per side. test_fraction: of each class, where the
    folder has no test part."""

    path: Path
    resolution: int
    test_fraction: float

    name = "folder"
    title = "the image folder"

    @property
    def transforms(self) -> str:
        return TRANSFORMS.format(self.resolution)

    def _parts(self) -> tuple[Path, Path | None]:
        """Folder of the training classes, and of the test classes if there is one."""
        tests = [self.path / name for name in ("test", "val") if (self.path / name).is_dir()]
        if (self.path / "train").is_dir() and tests:
            return self.path / "train", tests[0]
        return self.path, None

    def _classes(self, folder: Path) -> list[str]:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))

    def files(self, root: Path) -> list[Path]:
        if not self.path.is_dir():
            raise UserError(f"{self.path} is not a folder; expected one with a folder of images per class")
        parts = [part for part in self._parts() if part is not None]
        return [path for part in parts for name in self._classes(part) for path in image_files(part / name)]

    def read(self, root: Path) -> RealData:
        train, test = self._parts()
        names = self._classes(train)
        if len(names) < 2:
            raise UserError(
                f"{train} has {len(names)} class folder{'s' * (len(names) != 1)}; expected at least 2, "
                "each with the images of one class"
            )
        samples = self._read(train, names)
        if test is None:
            splits = held_out(samples, self.test_fraction, "folder test")
        else:
            if self._classes(test) != names:
                raise UserError(f"{test} and {train} must hold the same class folders")
            splits = samples, self._read(test, names)
        return RealData("image", tuple(names), *splits)

    def _read(self, folder: Path, names: list[str]) -> Samples:
        found = [image_files(folder / name) for name in names]
        few = next((name for name, files in zip(names, found, strict=True) if len(files) < 4), None)
        if few is not None:
            raise UserError(f"{folder / few} has fewer than 4 images; add some or remove the folder")
        x = decode([path for files in found for path in files], self.resolution)
        y = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(files) for files in found]))
        return Samples.real(x, y)


@dataclass(frozen=True)
class FolderOptions(UnknownClasses):
    resolution: Annotated[int, Ge(8)] = 64
    """pixels per side"""
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2
    """share of each class that is the test set, where there is no test folder"""


@register_benchmark("folder")
class Folder(Parametrised, Benchmark):
    """folder:PATH, your own images in a folder per class, 64×64 unless told otherwise."""

    takes = "PATH"
    source = "a folder of the user's"
    generator = "ddpm"
    augmentation = Augmentation(crop=4, flip=True)
    Options = FolderOptions

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        return super().parametrised(str(Path(argument).expanduser().absolute()))

    def data_set(self) -> ClassFolders:
        return ClassFolders(Path(self.argument), self.options.resolution, self.options.test_fraction)


class FFHQ64Files(DataSet):
    """Faces below ROOT/ffhq64."""

    name = "ffhq64"
    title = "FFHQ"
    folder = "ffhq64"
    size = 64
    transforms = TRANSFORMS.format(64)

    def how_to_get(self) -> str:
        return f"put images into {self.folder}/, thumbnails128x128 of github.com/NVlabs/ffhq-dataset, say"

    def files(self, root: Path) -> list[Path]:
        found = image_files(root / self.folder)
        if len(found) < 7:
            raise self.missing(f"folder {self.folder} with at least 7 images", root)
        return found

    def read(self, root: Path) -> RealData:
        x = decode(self.files(root), self.size)
        samples = Samples.real(x, torch.zeros(len(x), dtype=torch.int64))
        cut = len(x) - len(x) // 7
        return RealData("image", ("face",), samples[:cut], samples[cut:])


@register_benchmark("ffhq64")
class FFHQ64(StationaryBenchmark):
    """FFHQ faces, or any folder of images, at 64×64, one class, as a self-consuming loop."""

    source = "Karras, Laine and Aila 2019, github.com/NVlabs/ffhq-dataset; CC BY-NC-SA 4.0"
    needs = "images in the folder ffhq64 of the data root"
    generator = "ddpm"
    augmentation = Augmentation(flip=True)

    def data_set(self) -> FFHQ64Files:
        return FFHQ64Files()
