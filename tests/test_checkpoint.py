"""A training's checkpoint: any number of modules and optimisers, and the random numbers to come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cl_bench import checkpoint
from cl_bench.checkpoint import Checkpoint, kept_in


class Two:
    """Two networks whose optimisers keep moments; `net2` starts with the name of `net`."""

    def __init__(self) -> None:
        self.modules = {"net": nn.Linear(2, 2), "net2": nn.BatchNorm1d(2)}
        self.optimisers = {
            "net": torch.optim.AdamW(self.modules["net"].parameters(), 0.1),
            "net2": torch.optim.Adam(self.modules["net2"].parameters(), 0.1, (0.0, 0.9), fused=True),
        }

    def step(self) -> None:
        loss = self.modules["net2"](self.modules["net"](torch.randn(8, 2))).square().sum()
        loss.backward()
        for optimiser in self.optimisers.values():
            optimiser.step()
            optimiser.zero_grad()

    def state(self) -> list[torch.Tensor]:
        return [value for module in self.modules.values() for value in module.state_dict().values()]


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)


def test_goes_on_exactly(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = Two(), Two()
        with kept_in(tmp_path):
            kept = Checkpoint(first.modules, first.optimisers, torch.device("cpu"))
        for _ in range(3):
            first.step()
        kept.save_now_and_then(3)
        first.step()
        torch.manual_seed(1)
        with kept_in(tmp_path):
            again = Checkpoint(second.modules, second.optimisers, torch.device("cpu"))
        assert again.restore() == 3
        second.step()
    assert all(torch.equal(a, b) for a, b in zip(first.state(), second.state(), strict=True))
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_kept_without_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    two = Two()
    kept = Checkpoint(two.modules, two.optimisers, torch.device("cpu"))
    kept.save_now_and_then(1)
    assert kept.restore() == 0
    kept.remove()
    assert list(tmp_path.iterdir()) == []
