"""State dicts as files: flat names to tensors in safetensors, written whole or not at all."""

from __future__ import annotations

import hashlib
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


def save(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write `state`, and `metadata` about it, to `path` at once: a reader sees the whole file or none."""
    # A copy each: safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    # Named for the process: two may write the same copy at once.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, temporary, metadata)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> State:
    """Read what `save` wrote. Raises UserError when the file is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether both hold the same tensors, bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name].cpu(), b[name].cpu()) for name in a)


def checksum(state: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of names and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        # As bytes: numpy has no bfloat16.
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def from_numbers(prefix: str, numbers: Mapping[int, int]) -> State:
    """A mapping of whole numbers, say samples per class, as two tensors under `prefix`."""
    keys = sorted(numbers)
    values = {"keys": torch.tensor(keys), "values": torch.tensor([numbers[k] for k in keys])}
    return prefixed(prefix, values)


def to_numbers(prefix: str, state: Mapping[str, Tensor]) -> dict[int, int]:
    """What `from_numbers` put under `prefix`."""
    part = under(prefix, state)
    return dict(zip(part["keys"].tolist(), part["values"].tolist(), strict=True))
