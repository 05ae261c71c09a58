"""Batched sampling: the same images in any batch, and less at once where memory ends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl_bench.processes import Processes, together
from cl_bench.progress import Progress
from cl_bench.sampling import BatchedSampling
from cl_bench.seeds import isolated, noise

CPU = torch.device("cpu")
SHAPE = (1, 2, 3)


def make(generators: list[torch.Generator], y: Tensor) -> Tensor:
    return noise(generators, SHAPE, CPU) / 3


class Crowded:
    """Memory for `limit` images; a batch that is too large fails after its first random numbers."""

    def __init__(self, limit: int) -> None:
        self.limit, self.sizes = limit, []

    def __call__(self, generators: list[torch.Generator], y: Tensor) -> Tensor:
        x = make(generators, y)
        self.sizes.append(len(y))
        if len(y) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return x


def drawn(size: int, n: int, how=make) -> Tensor:
    with isolated(0):
        return BatchedSampling(SHAPE, size, CPU, Progress())(torch.zeros(n).long(), how)


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_batches_of_any_size_give_the_same_images(size: int) -> None:
    assert torch.equal(drawn(size, 10), drawn(10, 10))
    assert drawn(size, 0).shape == (0, *SHAPE)
    assert drawn(size, 10).dtype == torch.uint8


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4, 4]), (12, [4, 4, 4]), (9, [3, 3, 3]), (6, [3, 3])])
def test_all_batches_have_one_shape_and_share_the_work(n: int, sizes: list[int]) -> None:
    crowded = Crowded(100)
    drawn(4, n, crowded)
    assert crowded.sizes == sizes


def test_out_of_memory_halves_the_batch_once_and_changes_no_image(capsys) -> None:
    crowded = Crowded(4)
    assert torch.equal(drawn(16, 20, crowded), drawn(20, 20))
    assert crowded.sizes == [10, 5, *[2] * 10]
    said = capsys.readouterr().err
    assert said.count("out of memory: 5 images sampled at once") == 1
    assert said.count("out of memory: 2 images sampled at once") == 1


def test_memory_for_no_image_at_all_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        drawn(4, 5, Crowded(0))


def test_processes_share_the_images_out(monkeypatch) -> None:
    """What each of three processes draws is its part of what one would draw."""
    whole = drawn(10, 10)
    monkeypatch.setattr(Processes, "gathered", lambda self, part, n: part)
    parts = []
    for index in range(3):
        with together(Processes(index, 3)):
            parts.append(drawn(10, 10))
    assert [len(part) for part in parts] == [3, 3, 4]
    assert torch.equal(torch.cat(parts), whole)
