"""MNIST and Fashion-MNIST, as task streams and, for MNIST, as a self-consuming loop.

Data: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998; H. Xiao, K. Rasul, R.
Vollgraf, "Fashion-MNIST", 2017 (arXiv 1708.07747, MIT licence). Each has 60,000 training and 10,000 test
images of 28×28 grey pixels, the official split. Split MNIST in 5 tasks of 2 digits is the stream of Zenke et
al. 2017 and of van de Ven and Tolias 2019.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from cl_bench import register_benchmark
from cl_bench.benchmark import Benchmark, StationaryBenchmark
from cl_bench.samples import Samples
from cl_bench.stream import RealData
from cl_bench.torchvision_set import TorchvisionSet

DIGITS = tuple(str(c) for c in range(10))
NAMES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


class MNISTFiles(TorchvisionSet):
    """The official files, uncompressed, as torchvision lays them out."""

    name = "mnist"
    title = "MNIST"
    folder = "MNIST"
    official_name: ClassVar[Literal["MNIST", "FashionMNIST"]] = "MNIST"

    @property
    def official(self) -> Any:
        import torchvision.datasets

        return getattr(torchvision.datasets, self.official_name)

    def class_names(self) -> tuple[str, ...]:
        return DIGITS

    def download(self, root: Path) -> None:
        self.official(root, download=True)

    def files(self, root: Path) -> list[Path]:
        return self.present(root, [f"raw/{name}" for name in NAMES])

    def verify(self, root: Path) -> None:
        self.read(root)

    def read(self, root: Path) -> RealData:
        train_x, train_y, test_x, test_y = (self._array(path) for path in self.files(root))
        train, test = (
            Samples.real(x.unsqueeze(1), y.long()) for x, y in ((train_x, train_y), (test_x, test_y))
        )
        return RealData("image", self.class_names(), train, test)

    def _array(self, path: Path) -> Tensor:
        """An IDX file: (n, 28, 28) or (n,) uint8."""
        from torchvision.datasets.mnist import read_image_file, read_label_file

        try:
            return read_image_file(str(path)) if "images" in path.name else read_label_file(str(path))
        except (AssertionError, ValueError, RuntimeError, IndexError, KeyError) as error:
            size = path.stat().st_size
            raise self.damaged(path, f"no whole IDX file, {size} bytes") from error


class FashionMNISTFiles(MNISTFiles):
    name = "fashionmnist"
    title = "Fashion-MNIST"
    folder = "FashionMNIST"
    official_name = "FashionMNIST"

    def class_names(self) -> tuple[str, ...]:
        return tuple(self.official.classes)


class MNIST(Benchmark):
    source = "LeCun, Cortes and Burges 1998, yann.lecun.org/exdb/mnist; CC BY-SA 3.0"
    needs = "the data: cl-bench data fetch mnist (12 MB)"
    generator = "ddpm"

    def data_set(self) -> MNISTFiles:
        return MNISTFiles()


@register_benchmark("splitmnist")
class SplitMNIST(MNIST):
    """MNIST (28×28, grey), 5 tasks × 2 classes."""


@register_benchmark("mnist")
class StationaryMNIST(StationaryBenchmark, MNIST):
    """MNIST (28×28, grey) as a self-consuming loop."""


@register_benchmark("splitfashionmnist")
class SplitFashionMNIST(Benchmark):
    """Fashion-MNIST (28×28, grey), 5 tasks × 2 classes."""

    source = "Xiao, Rasul and Vollgraf 2017, github.com/zalandoresearch/fashion-mnist; MIT"
    needs = "the data: cl-bench data fetch fashionmnist (31 MB)"
    generator = "ddpm"

    def data_set(self) -> FashionMNISTFiles:
        return FashionMNISTFiles()
