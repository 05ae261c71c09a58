"""`cl-bench generate`: samples of a finished run as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cl_bench.cli.main import main
from cl_bench.finished_run import Run, load_run
from cl_bench.seeds import isolated


@pytest.fixture
def finished(fast_run) -> Run:
    return fast_run("bootstrap", tasks=2)


def generate(run: Run, *arguments: str) -> int:
    return main(["generate", str(run.path), "--quiet", *arguments])


def test_a_folder_of_images_per_class(finished: Run, tmp_path: Path, capsys) -> None:
    assert generate(finished, "--class", "1,7", "--n", "3", "--out", str(tmp_path / "out")) == 0
    assert "6 samples of 2 classes, after task 2 of 2" in capsys.readouterr().out
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert files == [f"{c}/{i:05d}.png" for c in (1, 7) for i in range(3)]
    strategy = finished.restored()
    with isolated(0, "generate"):
        expected = strategy.sample(torch.tensor([1, 1, 1, 7, 7, 7]))
    found = np.stack([np.asarray(Image.open(tmp_path / "out" / name)) for name in files])
    assert np.array_equal(found, expected[:, 0].numpy()), "lossless"


def test_an_npz_file_is_a_benchmark(finished: Run, tmp_path: Path, capsys) -> None:
    out = tmp_path / "new" / "samples.npz"
    assert generate(finished, "--n", "12", "--out", str(out)) == 0
    assert generate(finished, "--n", "12", "--seed", "1", "--out", str(tmp_path / "other.npz")) == 0
    with np.load(out) as file, np.load(tmp_path / "other.npz") as other:
        assert file["x"].shape == (120, 1, 8, 8)
        assert not np.array_equal(file["x"], other["x"]), "another seed"
        assert file["y"].tolist() == [c for c in range(10) for _ in range(12)]
        assert set(file["depth"].tolist()) == {1, 2}
        assert file["class_names"].tolist() == [str(c) for c in range(10)]
    assert main(["show", f"arrays:{out}"]) == 0


def test_the_generator_as_it_was_after_an_earlier_task(finished: Run, tmp_path: Path) -> None:
    assert generate(finished, "--task", "1", "--n", "2", "--out", str(tmp_path / "a.npz")) == 0
    with np.load(tmp_path / "a.npz") as file:
        assert sorted(set(file["y"].tolist())) == [0, 1, 2, 3, 4]


def test_mistakes_are_told_and_leave_nothing(finished: Run, tmp_path: Path, capsys, fast_run) -> None:
    out = tmp_path / "out"
    for arguments, message in [
        (["--class", "eleven"], "unknown class 'eleven'"),
        (["--class", "9", "--task", "1"], "unknown class '9'; known: 0, 1, 2, 3, 4"),
        (["--task", "3"], "task 3 is not finished; 2 of 2 are"),
        (["--task", "0"], "task 0 is not finished"),
        (["--n", "0"], "expected at least one sample per class"),
    ]:
        assert generate(finished, *arguments, "--out", str(out)) == 2
        assert message in capsys.readouterr().err
        assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    assert generate(finished, "--out", str(out)) == 2
    assert "exists; name another --out" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    plain = fast_run("experience-replay", tasks=2, generator="none")
    assert generate(plain, "--out", str(tmp_path / "b")) == 2
    assert "'experience-replay' has no generator" in capsys.readouterr().err


def test_restored_predicts_as_it_did(finished: Run) -> None:
    strategy = load_run(finished.path).restored(task=0)
    logits = strategy.predict(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert logits.shape == (2, 10)
    assert torch.equal(strategy.replay.y, finished.replay(0).y)
