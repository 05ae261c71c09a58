"""Oxford Flowers-102 at 64×64 pixels, as a task stream and as a self-consuming loop.

Data: M.-E. Nilsback, A. Zisserman, "Automated Flower Classification over a Large Number of Classes", ICVGIP
2008: 8,189 photographs of 102 flowers. 64×64 is the resolution of Zverev et al. 2025 (arXiv 2512.11867). 102
classes do not divide by 5 or 10: the default is 6 tasks of 17, and `-o tasks=[21,21,20,20,20]` loses none.

Which part is trained on: the official split gives 1,020 images for training, 1,020 for validation (10 of each
class each) and 6,149 for testing (20 to 238 of each). Here the large part is trained on and the other 2,040,
20 of each class, are the test set: generators learn little from 20 images of a class, and a balanced test set
makes every task weigh the same. `-o train_on=train+val` gives the official protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from cl_bench import register_benchmark
from cl_bench.augmentation import Augmentation
from cl_bench.benchmark import Benchmark, ClassIncremental, Stationary, StationaryBenchmark
from cl_bench.images import RESIZED, decode
from cl_bench.samples import Samples
from cl_bench.stream import RealData
from cl_bench.torchvision_set import TorchvisionSet

Part = Literal["test", "train+val"]
SIZE, COUNT = 64, 8189


@dataclass(frozen=True)
class Flowers102Files(TorchvisionSet):
    """Photographs, labels and official split, as torchvision lays them out. train_on: the official part(s) to
    train on; the rest is the test set."""

    train_on: Part

    name = "flowers102"
    title = "Flowers-102"
    folder = "flowers-102"
    transforms = f"largest centred square, {RESIZED.format(SIZE)}"

    @property
    def official(self) -> Any:
        import torchvision.datasets

        return torchvision.datasets.Flowers102

    def download(self, root: Path) -> None:
        self.official(root, download=True)

    def files(self, root: Path) -> list[Path]:
        photographs = [f"jpg/image_{number:05d}.jpg" for number in range(1, COUNT + 1)]
        return self.present(root, ["imagelabels.mat", "setid.mat", *photographs])

    def verify(self, root: Path) -> None:
        # torchvision lists three files with their MD5; of the photographs it knows the archive's only.
        for name, md5 in (self.official._file_dict[key] for key in ("label", "setid")):
            self.verify_md5(root / self.folder / name, md5)

    def read(self, root: Path) -> RealData:
        from scipy.io import loadmat

        labels, split, *photographs = self.files(root)
        self.verify(root)
        y = torch.from_numpy(loadmat(labels)["labels"].ravel().astype("int64") - 1)
        ids = loadmat(split)
        x = decode(photographs, SIZE)

        def part(*keys: str) -> Samples:
            numbers = torch.cat([torch.from_numpy(ids[key].ravel().astype("int64")) for key in keys])
            index = numbers.sort().values - 1
            return Samples.real(x[index], y[index])

        large, small = part("tstid"), part("trnid", "valid")
        splits = (large, small) if self.train_on == "test" else (small, large)
        return RealData("image", tuple(self.official.classes), *splits)


@dataclass(frozen=True)
class SplitFlowers102Options(ClassIncremental):
    tasks: int | list[int] | None = 6
    """number of tasks, or the number of classes of each, as in [21,21,20,20,20]"""
    train_on: Part = "test"
    """official part(s) to train on, the others being the test set: test (6,149 images, 20 to 238 a class),
    because generators learn little from few, or train+val (2,040, 20 a class), the official protocol"""


@dataclass(frozen=True)
class StationaryFlowers102Options(Stationary):
    train_on: Part = "test"
    """official part(s) to train on, the others being the test set: test (6,149 images) or train+val
    (2,040)"""


class Flowers102(Benchmark):
    source = "Nilsback and Zisserman 2008, robots.ox.ac.uk/~vgg/data/flowers/102; no licence stated"
    needs = "the data: cl-bench data fetch flowers102 (345 MB)"
    generator = "ddpm"
    augmentation = Augmentation(crop=4, flip=True)

    def data_set(self) -> Flowers102Files:
        return Flowers102Files(self.options.train_on)


@register_benchmark("splitflowers102")
class SplitFlowers102(Flowers102):
    """Oxford Flowers-102 (64×64), 6 tasks × 17 classes."""

    Options = SplitFlowers102Options


@register_benchmark("flowers102")
class StationaryFlowers102(StationaryBenchmark, Flowers102):
    """Oxford Flowers-102 (64×64) as a self-consuming loop."""

    Options = StationaryFlowers102Options
