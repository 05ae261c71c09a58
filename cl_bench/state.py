"""State dicts as files: flat names to tensors in safetensors, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from cl_bench.errors import UserError

State = dict[str, Tensor]


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    """`state` with every name put under `prefix.`"""
    return {f"{prefix}.{name}": value for name, value in state.items()}


def under(prefix: str, state: Mapping[str, Tensor]) -> State:
    """The part of `state` under `prefix.`, the prefix taken off."""
    start = f"{prefix}."
    return {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}


def save(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write `state` to `path` at once: a reader sees the whole file or none."""
    # A copy each: safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    temporary = path.with_name(path.name + ".part")
    save_file(tensors, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: Path) -> State:
    """Read what `save` wrote. Raises UserError when the file is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def from_numbers(prefix: str, numbers: Mapping[int, int]) -> State:
    """A mapping of whole numbers, say samples per class, as two tensors under `prefix`."""
    keys = sorted(numbers)
    values = {"keys": torch.tensor(keys), "values": torch.tensor([numbers[k] for k in keys])}
    return prefixed(prefix, values)


def to_numbers(prefix: str, state: Mapping[str, Tensor]) -> dict[int, int]:
    """What `from_numbers` put under `prefix`."""
    part = under(prefix, state)
    return dict(zip(part["keys"].tolist(), part["values"].tolist(), strict=True))
