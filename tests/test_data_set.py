"""Decoded copies: made once, made again when they must be, never the only copy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cl_bench.data_set import DataSet
from cl_bench.errors import UserError
from cl_bench.samples import Samples
from cl_bench.stream import RealData, SealedTestSet, sealed_tests


class Bytes(DataSet):
    """A file of bytes, half of them class 0."""

    name, title = "bytes", "Bytes"
    reads = 0

    def files(self, root: Path) -> list[Path]:
        if not (root / "bytes").is_file():
            raise self.missing("bytes", root)
        return [root / "bytes"]

    def read(self, root: Path) -> RealData:
        type(self).reads += 1
        x = torch.tensor(list((root / "bytes").read_bytes()), dtype=torch.uint8).reshape(-1, 1, 1, 1)
        part = Samples.real(x, torch.arange(len(x)) % 2)
        return RealData("image", ("even", "odd"), part, part)


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Bytes, "reads", 0)
    (tmp_path / "bytes").write_bytes(bytes(range(8)))
    return tmp_path


def test_read_once_then_from_the_copy(root: Path) -> None:
    first, second = Bytes().load(root), Bytes().load(root)
    assert Bytes.reads == 1
    assert torch.equal(first.train.x, second.train.x)
    assert torch.equal(first.train.y, second.train.y)
    assert first.fingerprint == second.fingerprint
    assert second.class_names == ("even", "odd")


def test_writing_into_loaded_tensors_leaves_the_copy_alone(root: Path) -> None:
    Bytes().load(root)
    Bytes().load(root).train.x.zero_()
    assert Bytes().load(root).train.x.sum() == sum(range(8))
    assert Bytes.reads == 1


def test_changed_files_are_read_again(root: Path) -> None:
    before = Bytes().load(root)
    (root / "bytes").write_bytes(bytes(range(1, 9)))
    os.utime(root / "bytes", (1, 1))
    after = Bytes().load(root)
    assert Bytes.reads == 2
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("kept", [0, 7, 200])
def test_a_damaged_copy_is_made_again(root: Path, kept: int) -> None:
    Bytes().load(root)
    copy = Bytes().decoded_copy(root)
    copy.write_bytes(copy.read_bytes()[:kept])
    assert Bytes().load(root).train.x.sum() == sum(range(8))
    assert Bytes.reads == 2
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_cache_that_cannot_be_written_is_told(root: Path, monkeypatch) -> None:
    (root / "file").write_text("no folder")
    monkeypatch.setenv("CL_BENCH_CACHE", str(root / "file"))
    with pytest.raises(UserError, match="set CL_BENCH_CACHE to a folder that can be written"):
        Bytes().load(root)


def test_a_strategy_cannot_load_a_data_set(root: Path) -> None:
    with sealed_tests(), pytest.raises(SealedTestSet, match="a strategy loaded Bytes"):
        Bytes().load(root)
    assert Bytes.reads == 0
