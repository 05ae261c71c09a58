"""What is costly and the same for every run on the same data: made once, and kept in the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from filelock import FileLock

from cl_bench import state as states
from cl_bench.data_root import cache_folder
from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State


class Trainable(Protocol):
    """What can be kept: a network with all that `fit` gives it."""

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


def train_once(
    what: Trainable, fit: Callable[[], None], kind: str, made_of: Sequence[object], progress: Progress
) -> None:
    """`fit()`, or what an earlier fit of the same left in the cache; see `made_once`."""

    def trained() -> State:
        fit()
        return what.state_dict()

    what.load_state_dict(made_once(trained, kind, made_of, progress))


def made_once(make: Callable[[], State], kind: str, made_of: Sequence[object], progress: Progress) -> State:
    """`make()`, or what it once gave of the same on such a machine, from the cache folder `kind`.

    made_of: all that the outcome depends on besides the code at the engine's top: Samples, and what repr
    tells apart.
    What is kept but damaged is made again.
    """
    path = cache_folder() / kind / f"{key(made_of)}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of several runs that need it at once, one makes it.
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            try:
                return states.load(path)
            except UserError:
                progress.say(f"{path} is damaged; making it again")
        made = make()
        states.save(path, made)
        return made


def key(made_of: Sequence[object]) -> str:
    """A hash of `made_of`, the sources at the engine's top, torch and its threads."""
    digest = hashlib.sha256(repr((torch.__version__, torch.get_num_threads())).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    for part in made_of:
        if not isinstance(part, Samples):
            digest.update(repr(part).encode())
            continue
        for tensor in (part.x, part.y):
            digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
