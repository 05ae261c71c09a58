"""Flowers-102 on the real files: no class is ever lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_bench.benchmarks.flowers102 import Flowers102Files
from cl_bench.errors import UserError
from cl_bench.samples import concat

FINGERPRINT = "6491069ea23e"


def test_all_of_flowers102_is_there(build) -> None:
    stream = build("splitflowers102").build()
    assert stream.fingerprint.startswith(FINGERPRINT)
    assert stream.spec.shape == (3, 64, 64)
    assert [len(task.classes) for task in stream.tasks] == [17] * 6
    train = concat(part for task in stream.tasks for part in (task.train, task.valid)).counts()
    test = concat(stream.test).counts()
    assert sum(train.values()) == 6149
    assert (min(train.values()), max(train.values())) == (20, 238)
    assert test == dict.fromkeys(range(102), 20)
    assert stream.spec.class_names[0] == "pink primrose"
    assert len(set(stream.spec.class_names)) == 102


def test_the_official_protocol_is_an_option(build) -> None:
    stream = build("splitflowers102", train_on="train+val").build()
    train = concat(part for task in stream.tasks for part in (task.train, task.valid)).counts()
    assert train == dict.fromkeys(range(102), 20)
    assert sum(map(len, stream.test)) == 6149


@pytest.mark.parametrize(
    "options",
    [
        {"tasks": [21, 21, 20, 20, 20]},
        {"tasks": 10, "remainder": "spread"},
        {"tasks": 5, "remainder": "spread"},
        {"first": 52, "tasks": 6},
    ],
)
def test_uneven_splits_keep_all_102_classes(build, options) -> None:
    stream = build("splitflowers102", **options).build(order_seed=1)
    assert sorted(c for task in stream.tasks for c in task.classes) == list(range(102))
    assert {c for task in stream.tasks for c in task.train.classes} == set(range(102))


def test_ten_even_tasks_are_refused_not_cut_to_100_classes(build) -> None:
    with pytest.raises(UserError, match=r"102 classes do not divide into 10 tasks.*remainder=spread"):
        build("splitflowers102", tasks=10).build()


def test_labels_are_those_of_torchvision(build) -> None:
    from torchvision.datasets import Flowers102

    benchmark = build("splitflowers102")
    official = Flowers102(benchmark.data_root, split="test")
    data = benchmark.load()
    numbers = torch.tensor([int(Path(p).stem.removeprefix("image_")) for p in official._image_files])
    order = numbers.argsort()
    assert torch.equal(torch.tensor(official._labels)[order], data.train.y)
    image = torch.from_numpy(np.array(official[int(order[7])][0])).permute(2, 0, 1)
    assert torch.equal(image, data.train.x[7])


def test_an_unreadable_photograph_is_named(build, tmp_path: Path) -> None:
    real = build("splitflowers102").data_root / "flowers-102"
    shutil.copytree(real, tmp_path / "flowers-102", copy_function=shutil.copyfile)
    damaged = tmp_path / "flowers-102" / "jpg" / "image_00042.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    with pytest.raises(UserError, match=r"image_00042\.jpg cannot be read as an image"):
        Flowers102Files("test").load(tmp_path)
    damaged.unlink()
    with pytest.raises(UserError, match=r"Flowers-102 is missing: no flowers-102/jpg/image_00042\.jpg"):
        Flowers102Files("test").load(tmp_path)
