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
    with torch.random.fork_rng():
        torch.manual_seed(derived)
        random.seed(derived)
        np.random.seed(derived % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
