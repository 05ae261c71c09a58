"""Randomness by name: every draw comes from (seed, purpose), never from a state carried along.

Because task 3's numbers depend on (seed, "observe", 3) only, a resumed run needs no saved random
state to repeat an uninterrupted one bit for bit.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for `purpose`, independent of every other purpose under the same `seed`."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def permutation(n: int, seed: int, *purpose: str | int) -> np.ndarray:
    """A permutation of range(n), int64, the same on every machine and version.

    NumPy promises that `RandomState`'s stream never changes (NEP 19); torch and numpy's newer
    generators do not, and class orders and splits must outlive both.
    """
    return np.random.RandomState(derive(seed, *purpose) % 2**32).permutation(n)


@contextmanager
def isolated(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch, numpy and random from (seed, purpose) inside; leave the caller's state untouched."""
    derived = derive(seed, *purpose)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derived)
        random.seed(derived)
        np.random.seed(derived % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def per_sample(n: int) -> list[torch.Generator]:
    """A generator for each of n samples, on the CPU, seeded from one draw of torch's global generator: sample
    i draws the same numbers however many samples there are and however they are batched."""
    first = int(torch.randint(2**48, ()))
    return [torch.Generator().manual_seed(first + i) for i in range(n)]


def noise(generators: list[torch.Generator], shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Gaussian noise (n, *shape), row i from generators[i]; the same on every device."""
    rows = [torch.randn(shape, generator=g) for g in generators]
    return torch.stack(rows).to(device) if rows else torch.empty(0, *shape, device=device)
