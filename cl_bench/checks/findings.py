"""What checks share: findings, the card, tiny requests, a trip through a checkpoint on disk.

A check is a list of looks. A problem ends it, for what follows would only repeat it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from cl_bench import options as opts
from cl_bench import state
from cl_bench.benchmark import Benchmark
from cl_bench.config import Request, resolve
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.samples import Samples

# What was looked at, and the problem, or None.
Finding = tuple[str, str | None]

PER_CLASS, STEPS = 12, 20  # a tiny task: samples per class, training steps


class Problem(Exception):
    """What a check found wrong."""


def findings(*checks: tuple[str, Callable[[], None]]) -> Iterator[Finding]:
    for what, look in checks:
        try:
            look()
        except (Problem, UserError, TrainingDiverged) as problem:
            yield what, str(problem)
            return
        except Exception as error:
            # A stranger's code may raise anything; the user wants its name and place, not our traceback.
            last = inspect.trace()[-1]
            yield what, f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
            return
        yield what, None


def require(condition: bool, problem: str) -> None:
    if not condition:
        raise Problem(problem)


def tiny(request: Request) -> Request:
    """The request with every number of training steps cut down, unless the user gave it."""
    resolved = resolve(dataclasses.replace(request, limit=PER_CLASS))
    small = dict(request.options)
    for kind in ("strategy", "generator"):
        for key, value in getattr(resolved.config, f"{kind}_options").items():
            given = key in small or f"{kind}.{key}" in small
            if key.split("_")[-1] == "steps" and isinstance(value, int) and not given:
                small[f"{kind}.{key}"] = min(value, STEPS)
    # Without a number of its own, a generator's is in its class.
    generator = resolved.generator_options
    if getattr(generator, "DEFAULT_STEPS", 0) and generator.steps is None and generator.epochs is None:
        small["generator.steps"] = STEPS
    return dataclasses.replace(request, limit=PER_CLASS, options=small)


def card(cls: Any) -> None:
    require(
        bool((cls.__doc__ or "").strip()),
        f"{cls.__name__} has no docstring; its first line is what `list` shows",
    )
    source = "source" if issubclass(cls, Benchmark) else "paper"
    require(bool(getattr(cls, source)), f"{cls.__name__}.{source} is empty; say where it comes from")
    require(dataclasses.is_dataclass(cls.Options), f"{cls.__name__}.Options is not a dataclass")
    for option in opts.describe(cls.Options):
        require(bool(option.help), f"option {option.key} has no docstring under its field")
        if not option.required:
            opts.build(cls.Options, {option.key: option.default}, f"default of {cls.__name__}")


def through_disk(content: state.State) -> state.State:
    for name, value in content.items():
        require(
            isinstance(value, Tensor), f"state dict entry {name!r} is {type(value).__name__}, not a tensor"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        state.save(path, content)
        return state.load(path)


def digest(samples: Samples) -> str:
    digest = hashlib.sha256()
    for tensor in samples.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
