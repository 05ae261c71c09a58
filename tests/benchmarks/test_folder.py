"""Folders of images: any layout a user has, and one clear error for a broken one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cl_bench.benchmark import Benchmark
from cl_bench.cli.stream_card import stream_card
from cl_bench.errors import UserError
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.runner import run

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def images(folder: Path, colour: tuple[int, int, int], n: int = 10, size: tuple[int, int] = (40, 24)) -> None:
    folder.mkdir(parents=True)
    for i in range(n):
        Image.new("RGB", size, colour).save(folder / f"{i:03d}.png")


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    for name, colour in COLOURS.items():
        images(tmp_path / "colours" / name, colour)
    return tmp_path / "colours"


def folder_benchmark(path: Path, **options: object) -> Benchmark:
    cls = benchmarks.get(f"folder:{path}")
    return cls(build_options(cls.Options, options, "folder"))


def test_class_folders_become_a_stream(colours: Path) -> None:
    stream = folder_benchmark(colours, resolution=16, tasks=[2, 1]).build()
    assert stream.spec.class_names == ("blue", "green", "red")
    assert stream.spec.shape == (3, 16, 16)
    assert [task.classes for task in stream.tasks] == [(0, 1), (2,)]
    for task, test in zip(stream.tasks, stream.test, strict=True):
        for c in task.classes:
            pixels = task.train.of((c,)).x.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)
            assert pixels.tolist() == [list(COLOURS[stream.spec.class_names[c]])]
            assert len(test.of((c,))) == 2


def test_the_card_tells_how_images_are_resized(colours: Path) -> None:
    card = stream_card(folder_benchmark(colours, resolution=16), None)
    assert "transforms  largest centred square, resized to 16×16 by antialiased bicubic" in card


def test_train_and_test_folders_are_kept_apart(tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        images(tmp_path / "train" / name, colour, 8)
        images(tmp_path / "val" / name, colour, 5)
    stream = folder_benchmark(tmp_path).build()
    assert sum(len(task.train) + len(task.valid) for task in stream.tasks) == 24
    assert sum(map(len, stream.test)) == 15


def test_number_of_tasks_follows_the_number_of_classes(colours: Path) -> None:
    assert [len(group) for group in folder_benchmark(colours).build().groups] == [3]
    assert [len(group) for group in folder_benchmark(colours, tasks=2).build().groups] == [2, 1]


def test_a_folder_runs(colours: Path, tmp_path: Path) -> None:
    finished = run(
        "naive",
        f"folder:{colours}",
        "none",
        quiet=True,
        output=tmp_path / "runs",
        classifier_steps=30,
        resolution=16,
        evaluators=("accuracy",),
    )
    rows = finished.rows
    assert rows.loc[rows.metric == "average_accuracy_class_il", "value"].item() == 1.0


def test_one_class_is_refused(tmp_path: Path) -> None:
    images(tmp_path / "only", (1, 2, 3))
    with pytest.raises(UserError, match=f"{tmp_path} has 1 class folder; expected at least 2"):
        folder_benchmark(tmp_path).build()


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is not a folder"):
        folder_benchmark(tmp_path / "nowhere").build()


def test_too_few_images_are_refused(colours: Path) -> None:
    images(colours / "sparse", (0, 0, 0), 3)
    with pytest.raises(UserError, match="sparse has fewer than 4 images"):
        folder_benchmark(colours).build()


@pytest.mark.parametrize("content", [b"", b"no image", "truncated"])
def test_an_unreadable_image_is_named(colours: Path, content: bytes | str) -> None:
    bad = colours / "green" / "004.png"
    bad.write_bytes(bad.read_bytes()[:60] if isinstance(content, str) else content)
    with pytest.raises(UserError, match=r"green/004\.png cannot be read as an image"):
        folder_benchmark(colours).build()


def test_a_changed_image_is_read_again(colours: Path) -> None:
    before = folder_benchmark(colours, resolution=16).build()
    Image.new("RGB", (16, 16), (9, 9, 9)).save(colours / "red" / "003.png")
    after = folder_benchmark(colours, resolution=16).build()
    assert before.fingerprint != after.fingerprint


def test_ffhq_is_one_class_split_by_name(tmp_path: Path) -> None:
    cls = benchmarks.get("ffhq64")
    benchmark = cls(cls.Options(generations=2), tmp_path)
    with pytest.raises(UserError, match="FFHQ is missing: no folder ffhq64"):
        benchmark.build()
    (tmp_path / "ffhq64" / "00000").mkdir(parents=True)
    for i in range(14):
        Image.fromarray(np.full((128, 128, 3), 10 * i, np.uint8)).save(tmp_path / f"ffhq64/00000/{i:05d}.png")
    stream = benchmark.build()
    assert stream.spec.shape == (3, 64, 64)
    assert stream.spec.stationary
    assert len(stream.tasks) == 2
    assert len(stream.train) == 12
    assert stream.test[0].x[:, 0, 0, 0].tolist() == [120, 130]
