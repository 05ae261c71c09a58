"""CIFAR-10 and CIFAR-100, as task streams and as self-consuming loops.

Data: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 50,000 training and 10,000
test images of 32×32 pixels, the official split; collected from the web without stated licences, offered for
research. Split CIFAR-100 in 5 tasks of 20 classes is the stream of Zverev et al. 2025 (arXiv 2512.11867);
10×10 and 50 + 5×10 are those of Rebuffi et al. 2017 (iCaRL) and Hou et al. 2019 (LUCIR).
`-o resolution=64` is what DDGR's release trains on (Gao and Liu 2023).

Ten test images of CIFAR-100 stand in its training set, too, pixel for pixel. They are part of the data set
as everybody uses it and are left in; `cl-bench show splitcifar100` lists them.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from annotated_types import Ge

from cl_bench import register_benchmark
from cl_bench.augmentation import Augmentation
from cl_bench.benchmark import Benchmark, ClassIncremental, Stationary, StationaryBenchmark
from cl_bench.images import RESIZED, resized
from cl_bench.samples import Samples
from cl_bench.stream import RealData
from cl_bench.torchvision_set import TorchvisionSet

SOURCE = "Krizhevsky 2009, cs.toronto.edu/~kriz/cifar.html; no licence stated, offered for research"
SIZE = 32


@dataclass(frozen=True)
class CIFARFiles(TorchvisionSet):
    """The official pickles. They are opened only after their MD5 has been found to be the published one.

    resolution: pixels per side. official_name: torchvision's class.
    """

    resolution: int = SIZE

    official_name: ClassVar[Literal["CIFAR10", "CIFAR100"]]

    @property
    def transforms(self) -> str:
        if self.resolution == SIZE:
            return super().transforms
        return RESIZED.format(self.resolution)

    @property
    def official(self) -> Any:
        import torchvision.datasets

        return getattr(torchvision.datasets, self.official_name)

    def download(self, root: Path) -> None:
        self.official(root, download=True)

    def _published(self) -> dict[str, str]:
        """File name to MD5."""
        official = self.official
        return dict([*official.train_list, *official.test_list]) | {
            official.meta["filename"]: official.meta["md5"]
        }

    def files(self, root: Path) -> list[Path]:
        return self.present(root, list(self._published()))

    def verify(self, root: Path) -> None:
        for path, md5 in zip(self.files(root), self._published().values(), strict=True):
            self.verify_md5(path, md5)

    def read(self, root: Path) -> RealData:
        self.verify(root)
        official = self.official
        key = official.meta["key"]
        names = tuple(self._unpickle(root, official.meta["filename"])[key])
        train, test = (
            self._split(root, [name for name, _ in part])
            for part in (official.train_list, official.test_list)
        )
        return RealData("image", names, train, test)

    def _split(self, root: Path, names: list[str]) -> Samples:
        parts = [self._unpickle(root, name) for name in names]
        x = np.concatenate([part["data"] for part in parts]).reshape(-1, 3, SIZE, SIZE)
        y = np.concatenate([part["fine_labels" if "fine_labels" in part else "labels"] for part in parts])
        return Samples.real(resized(torch.from_numpy(x), self.resolution), torch.from_numpy(y).long())

    def _unpickle(self, root: Path, name: str) -> dict[str, Any]:
        with (root / self.folder / name).open("rb") as file:
            return pickle.load(file, encoding="latin1")


class CIFAR10Files(CIFARFiles):
    name = "cifar10"
    title = "CIFAR-10"
    folder = "cifar-10-batches-py"
    official_name = "CIFAR10"


class CIFAR100Files(CIFARFiles):
    name = "cifar100"
    title = "CIFAR-100"
    folder = "cifar-100-python"
    official_name = "CIFAR100"


@dataclass(frozen=True)
class SplitCIFAROptions(ClassIncremental):
    resolution: Annotated[int, Ge(8)] = SIZE
    """pixels per side, resized from 32 (release of DDGR: 64)"""


@dataclass(frozen=True)
class StationaryCIFAROptions(Stationary):
    resolution: Annotated[int, Ge(8)] = SIZE
    """pixels per side, resized from 32"""


class CIFAR10(Benchmark):
    source = SOURCE
    needs = "the data: cl-bench data fetch cifar10 (170 MB)"
    generator = "ddpm"
    augmentation = Augmentation(crop=4, flip=True)

    def data_set(self) -> CIFAR10Files:
        return CIFAR10Files(self.options.resolution)


class CIFAR100(Benchmark):
    source = SOURCE
    needs = "the data: cl-bench data fetch cifar100 (169 MB)"
    generator = "ddpm"
    augmentation = Augmentation(crop=4, flip=True)

    def data_set(self) -> CIFAR100Files:
        return CIFAR100Files(self.options.resolution)


@register_benchmark("splitcifar10")
class SplitCIFAR10(CIFAR10):
    """CIFAR-10 (32×32), 5 tasks × 2 classes."""

    Options = SplitCIFAROptions


@register_benchmark("cifar10")
class StationaryCIFAR10(StationaryBenchmark, CIFAR10):
    """CIFAR-10 (32×32) as a self-consuming loop."""

    Options = StationaryCIFAROptions


@register_benchmark("splitcifar100")
class SplitCIFAR100(CIFAR100):
    """CIFAR-100 (32×32), 5 tasks × 20 classes."""

    Options = SplitCIFAROptions


@register_benchmark("cifar100")
class StationaryCIFAR100(StationaryBenchmark, CIFAR100):
    """CIFAR-100 (32×32) as a self-consuming loop."""

    Options = StationaryCIFAROptions
