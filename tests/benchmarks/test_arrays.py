"""Array files: images and vectors in every accepted shape, and one clear error for a broken one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl_bench.benchmark import Benchmark
from cl_bench.errors import UserError
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.runner import run
from cl_bench.samples import concat

Y = np.arange(40) % 4
RNG = np.random.RandomState(0)
IMAGES = RNG.randint(0, 256, (40, 9, 7, 3), dtype=np.uint8)
VECTORS = RNG.randn(40, 5) + 5 * np.eye(5)[Y]


def arrays_benchmark(path: Path, **options: object) -> Benchmark:
    cls = benchmarks.get(f"arrays:{path}")
    return cls(build_options(cls.Options, options, "arrays"))


@pytest.fixture
def npz(tmp_path: Path):
    def write(**arrays: object) -> Path:
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return write


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (IMAGES, (3, 9, 7)),
        (IMAGES.transpose(0, 3, 1, 2), (3, 9, 7)),
        (IMAGES[..., 0], (1, 9, 7)),
        (IMAGES[..., :1], (1, 9, 7)),
    ],
)
def test_images_of_every_layout(npz, x: np.ndarray, shape: tuple[int, ...]) -> None:
    stream = arrays_benchmark(npz(x_train=x, y_train=Y, x_test=x[:8], y_test=Y[:8])).build()
    assert stream.spec.shape == shape
    assert stream.spec.modality == "image"
    assert [task.classes for task in stream.tasks] == [(0, 1), (2, 3)]
    first = x[0] if x.ndim == 3 or x.shape[1] in (1, 3) else x[0].transpose(2, 0, 1)
    assert np.array_equal(stream.train.x[0].numpy().reshape(shape), first.reshape(shape))
    assert sum(map(len, stream.test)) == 8


def test_vectors_with_text_labels_are_split_and_run(npz, tmp_path: Path) -> None:
    path = npz(x=VECTORS, y=np.array(["oak", "elm", "ash", "fir"])[Y])
    stream = arrays_benchmark(path).build()
    assert stream.spec.modality == "vector"
    assert stream.spec.class_names == ("ash", "elm", "fir", "oak")
    assert concat(stream.test).counts() == dict.fromkeys(range(4), 2)
    options = {"classifier_steps": 100, "evaluators": ("accuracy",)}
    finished = run("joint", f"arrays:{path}", quiet=True, output=tmp_path / "runs", **options)
    rows = finished.rows[finished.rows.after_task == 1]
    assert rows.loc[rows.metric == "average_accuracy_class_il", "value"].item() > 0.8


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        (
            {"x": np.where(np.arange(5) == 2, np.nan, VECTORS), "y": Y},
            "x holds NaN or infinity, first in sample 0",
        ),
        ({"x": VECTORS}, "no array y"),
        ({"x_train": VECTORS, "y_train": Y}, "no array x_test"),
        ({"x": VECTORS, "y": np.zeros(40, int)}, "1 class in y; expected at least 2"),
        ({"x": VECTORS, "y": Y[:39]}, "x has 40 samples, y 39 labels"),
        ({"x": VECTORS, "y": Y / 2}, "y must be whole numbers or texts"),
        ({"x": IMAGES.astype(np.float32), "y": Y}, r"x is float32 \(40, 9, 7, 3\); expected uint8 images"),
        ({"x": VECTORS, "y": np.array([object()] * 40)}, "it cannot be read as an npz file of plain arrays"),
        ({"x": VECTORS, "y": Y, "class_names": np.array(["a"])}, "class_names must be 4 texts"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_with_the_file(npz, arrays, problem: str) -> None:
    with pytest.raises(UserError, match=rf"data\.npz: {problem}"):
        arrays_benchmark(npz(**arrays)).build()


def test_a_class_without_test_samples_is_refused(npz) -> None:
    path = npz(
        x_train=VECTORS, y_train=Y, x_test=VECTORS[:3], y_test=Y[:3], class_names=np.array(list("abcd"))
    )
    with pytest.raises(UserError, match="class 'd' has no test samples"):
        arrays_benchmark(path).build()


def test_no_npz_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        arrays_benchmark(tmp_path / "none.npz").build()
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(UserError, match=r"text\.npz: it cannot be read"):
        arrays_benchmark(tmp_path / "text.npz").build()
