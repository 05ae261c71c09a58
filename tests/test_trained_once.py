"""What is trained once: on the same data and arguments only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.trained_once import key, train_once


def some(n: int) -> Samples:
    return Samples.real(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), torch.zeros(n).long())


def test_a_second_training_on_the_same_data_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: Progress
) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))
    trained = []

    def weight(made_of: tuple[object, ...]) -> float:
        net = torch.nn.Linear(1, 1)

        def fit() -> None:
            trained.append(made_of)
            torch.nn.init.constant_(net.weight, len(trained))

        train_once(net, fit, "lines", made_of, quiet)
        return net.weight.item()

    assert [weight(("a", some(3))) for _ in range(2)] == [1, 1]
    assert [weight(("b", some(3))), weight(("a", some(4))), weight(("a", some(3)))] == [2, 3, 1]


def test_labels_and_pixels_count() -> None:
    one, other = some(3), some(3)
    other.y[0] = 1
    assert key([one]) == key([some(3)]) != key([other])
