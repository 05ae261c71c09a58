"""MNIST on the real files against the published facts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl_bench.benchmarks.mnist import FashionMNISTFiles, MNISTFiles
from cl_bench.errors import UserError
from cl_bench.samples import concat

FINGERPRINT = "f0b2f096e6d9"
TRAIN = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)
TEST = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)


def test_all_of_mnist_is_there(build) -> None:
    stream = build("splitmnist").build()
    assert stream.fingerprint.startswith(FINGERPRINT)
    train = concat(part for task in stream.tasks for part in (task.train, task.valid))
    assert tuple(train.counts().values()) == TRAIN
    assert tuple(concat(stream.test).counts().values()) == TEST
    assert stream.spec.shape == (1, 28, 28)
    assert [task.classes for task in stream.tasks] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def test_the_stationary_twin_has_the_same_data(build) -> None:
    stream = build("mnist", generations=3).build()
    assert stream.fingerprint.startswith(FINGERPRINT)
    assert stream.spec.stationary
    assert [task.classes for task in stream.tasks] == [tuple(range(10))] * 3
    assert len(stream.test) == 1


def idx_files(folder: Path) -> None:
    """Small files in the IDX format."""
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    for part, n in (("train", 60), ("t10k", 20)):
        header = np.array([0x803, n, 28, 28], dtype=">i4").tobytes()
        images = rng.randint(0, 256, (n, 28, 28), dtype=np.uint8).tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images)
        labels = np.array([0x801, n], dtype=">i4").tobytes() + bytes(i % 10 for i in range(n))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


def test_fashion_mnist_has_its_own_folder_and_names(tmp_path: Path) -> None:
    idx_files(tmp_path / "FashionMNIST" / "raw")
    data = FashionMNISTFiles().load(tmp_path)
    assert data.class_names[9] == "Ankle boot"
    assert data.train.counts() == dict.fromkeys(range(10), 6)
    with pytest.raises(UserError, match="MNIST is missing: no MNIST/raw/train-images-idx3-ubyte"):
        MNISTFiles().load(tmp_path)


@pytest.mark.parametrize("kept", [0, 10, 3000])
def test_a_truncated_file_is_named(tmp_path: Path, kept: int) -> None:
    idx_files(tmp_path / "MNIST" / "raw")
    damaged = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte is damaged"):
        MNISTFiles().load(tmp_path)
