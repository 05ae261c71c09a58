"""Loading and batching CIFAR-100, against what a user would write with torchvision.

Run by hand on a quiet machine: `uv run pytest -m perf -s tests/perf/test_data.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import torch

from cl_bench.samples import scaled

BATCH, BATCHES = 256, 60

pytestmark = pytest.mark.perf


def best(what: Callable[[], object], repeats: int = 5) -> float:
    """Seconds, the least of several."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        what()
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_cached_load_takes_less_than_a_second(build) -> None:
    benchmark = build("splitcifar100")
    benchmark.build()
    seconds = best(lambda: benchmark.build().tasks[0].train.x.float().mean())
    print(f"\ncached CIFAR-100 to tasks, first task's pixels touched: {seconds:.3f} s")
    assert seconds < 1


def test_augmented_batches_against_a_data_loader(build) -> None:
    import torchvision.transforms as transforms
    from torchvision.datasets import CIFAR100

    benchmark = build("splitcifar100")
    train, augmentation = benchmark.load().train, benchmark.augmentation
    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
    pictures = CIFAR100(benchmark.data_root, transform=transform)

    def ours() -> None:
        for _ in range(BATCHES):
            pick = torch.randint(len(train), (BATCH,))
            x, y = scaled(augmentation(train.x.index_select(0, pick))), train.y[pick]
            assert x.shape == (BATCH, 3, 32, 32)
            assert len(y) == BATCH

    def loader(workers: int) -> float:
        batches: Iterator[object] = iter(
            torch.utils.data.DataLoader(pictures, BATCH, shuffle=True, num_workers=workers)
        )
        for _ in range(10):
            next(batches)
        start = time.perf_counter()
        for _ in range(BATCHES):
            next(batches)
        return time.perf_counter() - start

    seconds = best(ours)
    # The bytes must be read and the floats written once: what a plain copy to float costs.
    floor = best(lambda: [train.x[:BATCH].float() for _ in range(BATCHES)])
    theirs = {workers: min(loader(workers), loader(workers)) for workers in (0, 1, 2)}
    fastest = min(theirs.values())
    images = BATCH * BATCHES
    others = ", ".join(f"{workers} workers {images / t:,.0f}" for workers, t in theirs.items())
    print(
        f"\naugmented batches of {BATCH}, images/s: ours {images / seconds:,.0f}, {seconds / floor:.1f}× "
        f"a plain copy to float; DataLoader + PIL {others}; ratio to its best {fastest / seconds:.1f}"
    )
    assert fastest / seconds >= 20
