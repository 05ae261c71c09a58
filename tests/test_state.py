"""Checkpoints: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cl_bench import state
from cl_bench.errors import UserError


def test_round_trip_also_for_views_and_shared_memory(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    content = {"a": base, "b": base, "t": base.T}
    state.save(tmp_path / "x.safetensors", content)
    loaded = state.load(tmp_path / "x.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in content.items())
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_prefixes_nest() -> None:
    inner = {"w": torch.ones(1)}
    nested = state.prefixed("a", state.prefixed("b", inner))
    assert list(nested) == ["a.b.w"]
    assert state.under("b", state.under("a", nested)) == inner


def test_numbers_round_trip() -> None:
    numbers = {7: 3, 1: 20}
    assert state.to_numbers("n", state.from_numbers("n", numbers)) == numbers
    assert state.to_numbers("n", state.from_numbers("n", {})) == {}


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="missing"):
        state.load(path)
    state.save(path, {"a": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="damaged"):
        state.load(path)
