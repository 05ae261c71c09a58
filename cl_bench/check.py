"""Validate a strategy, benchmark or generator by using it: card, contract, one tiny task, no peeking.

Each check is a generator of findings: what was looked at, and the problem, or None. A problem ends it, for
what follows would only repeat it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl_bench import options as opts
from cl_bench import state
from cl_bench.benchmark import Benchmark
from cl_bench.config import Request, Resolved, resolve
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.progress import Progress
from cl_bench.runner import new_strategy
from cl_bench.samples import Samples, concat
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream, sealed_tests

Finding = tuple[str, str | None]

PER_CLASS, STEPS = 12, 20  # the tiny task: samples per class, training steps


class Problem(Exception):
    """What a check found wrong."""


def check_strategy(request: Request) -> Iterator[Finding]:
    """Findings about `request.strategy`, run on two tiny tasks of `request.benchmark`."""
    resolved = resolve(_tiny(request))
    stream = resolved.benchmark(resolved.benchmark_options).build(request.order_seed, PER_CLASS)
    trial = _StrategyTrial(resolved, stream)
    yield from _findings(
        ("card: docstring, paper, options with help", lambda: _card(resolved.strategy)),
        ("predict takes samples and nothing else, no task id", lambda: _signature(resolved.strategy)),
        ("is built from setting and options", trial.builds),
        ("predicts before the first task", trial.predicts),
        ("learns a tiny task without touching test sets or the task's data", lambda: trial.observes(0)),
        ("logits: shape, finite, row i from x[i] only", trial.predicts),
        ("samples: shape, type, labels seen so far, seeded", trial.samples),
        ("state dict: a fresh copy predicts and samples the same", trial.restores),
        ("goes on from its state dict bit for bit", trial.continues),
    )


def check_benchmark(request: Request) -> Iterator[Finding]:
    """Findings about `request.benchmark`, built in full and small."""
    resolved = resolve(dataclasses.replace(request, strategy="naive", limit=None))
    benchmark = resolved.benchmark(resolved.benchmark_options)
    global_state = _global_state()
    stream: TaskStream = benchmark.build(request.order_seed)
    yield from _findings(
        ("card: docstring, source, options with help", lambda: _card(resolved.benchmark)),
        (
            "building leaves torch's, numpy's and random's global state alone",
            lambda: _same_state(global_state),
        ),
        ("every class once, in the recorded order", lambda: _classes(stream)),
        ("data: type, range and labels fit the modality", lambda: _data(stream)),
        ("valid is cut from train, test stands apart", lambda: _parts(stream)),
        ("the same seed gives the same stream", lambda: _same(stream, benchmark.build(request.order_seed))),
        ("another order seed, another order, the same data", lambda: _reordered(stream, benchmark)),
        ("test sets are sealed while a strategy works", lambda: _sealed(stream)),
        (
            "Avalanche's view has the same tasks",
            lambda: _avalanche(benchmark.build(request.order_seed, PER_CLASS)),
        ),
    )


def check_generator(request: Request) -> Iterator[Finding]:
    """Findings about `request.generator`, fitted to one tiny task."""
    resolved = resolve(_tiny(dataclasses.replace(request, strategy="joint")))
    assert resolved.generator is not None
    stream = resolved.benchmark(resolved.benchmark_options).build(request.order_seed, PER_CLASS)
    trial = _GeneratorTrial(resolved, stream)
    yield from _findings(
        ("card: docstring, paper, options with help", lambda: _card(resolved.generator)),
        ("fits a tiny task", trial.fits),
        ("samples: shape, type, seeded", trial.samples),
        ("state dict: a fresh copy samples the same", trial.restores),
    )


def _findings(*checks: tuple[str, Callable[[], None]]) -> Iterator[Finding]:
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


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise Problem(problem)


def _tiny(request: Request) -> Request:
    """The request with every number of training steps cut down, unless the user gave it."""
    resolved = resolve(dataclasses.replace(request, limit=PER_CLASS))
    small = dict(request.options)
    for kind in ("strategy", "generator"):
        for key, value in getattr(resolved.config, f"{kind}_options").items():
            given = key in small or f"{kind}.{key}" in small
            if key.split("_")[-1] == "steps" and isinstance(value, int) and not given:
                small[f"{kind}.{key}"] = min(value, STEPS)
    return dataclasses.replace(request, limit=PER_CLASS, options=small)


def _card(cls: Any) -> None:
    _require(
        bool((cls.__doc__ or "").strip()),
        f"{cls.__name__} has no docstring; its first line is what `list` shows",
    )
    source = "source" if issubclass(cls, Benchmark) else "paper"
    _require(bool(getattr(cls, source)), f"{cls.__name__}.{source} is empty; say where it comes from")
    _require(dataclasses.is_dataclass(cls.Options), f"{cls.__name__}.Options is not a dataclass")
    for option in opts.describe(cls.Options):
        _require(bool(option.help), f"option {option.key} has no docstring under its field")
        if not option.required:
            opts.build(cls.Options, {option.key: option.default}, f"default of {cls.__name__}")


def _signature(strategy: Any) -> None:
    parameters = list(inspect.signature(strategy.predict).parameters.values())[1:]
    _require(
        len(parameters) == 1,
        f"predict({', '.join(p.name for p in parameters)}) must take x alone: no task id at test time",
    )


class _StrategyTrial:
    """One strategy on two tiny tasks."""

    def __init__(self, resolved: Resolved, stream: TaskStream) -> None:
        self.resolved, self.stream = resolved, stream
        self.x = concat(stream.test[:2]).x
        self.strategy: Any = None
        self.checkpoint: state.State = {}

    def builds(self) -> None:
        self.strategy = self._new()

    def _new(self) -> Any:
        with isolated(0, "strategy"), sealed_tests():
            return new_strategy(self.resolved, self.stream, torch.device("cpu"), Progress(quiet=True))

    def _predict(self, strategy: Any, x: Tensor) -> Tensor:
        with isolated(0, "predict"), sealed_tests():
            return strategy.predict(x)

    def _observe(self, strategy: Any, index: int) -> None:
        with isolated(0, "observe", index), sealed_tests():
            strategy.observe(self.stream.tasks[index])

    def observes(self, index: int) -> None:
        task = self.stream.tasks[index]
        before = [_digest(task.train), _digest(task.valid)]
        self._observe(self.strategy, index)
        _require(
            before == [_digest(task.train), _digest(task.valid)], "observe changed the task's own tensors"
        )

    def predicts(self) -> None:
        logits = self._predict(self.strategy, self.x)
        shape = (len(self.x), self.stream.spec.num_classes)
        _require(isinstance(logits, Tensor), f"predict gave {type(logits).__name__}, expected a tensor")
        _require(tuple(logits.shape) == shape, f"predict gave {tuple(logits.shape)}, expected {shape}")
        _require(logits.device.type == "cpu", "predict must give its logits on the CPU")
        _require(bool(logits.isfinite().all()), "predict gave NaN or infinity")
        again = self._predict(self.strategy, self.x)
        _require(torch.equal(logits, again), "predict gives other logits for the same samples and seed")
        # Small differences are a matrix product's rounding; more is a look at the rest of the batch.
        alone = torch.cat([self._predict(self.strategy, self.x[i : i + 1]) for i in range(0, len(self.x), 5)])
        scale = max(1.0, logits.abs().max().item())
        _require(
            bool((alone - logits[::5]).abs().max() <= 1e-3 * scale),
            "predict gives other logits for a sample alone than in a batch; it must not use the batch",
        )

    def samples(self) -> None:
        if not self.strategy.generative:
            return
        classes = self.stream.seen(0)
        labels = torch.tensor(classes).repeat(3)
        x = self._sample(self.strategy, labels)
        real = self.stream.tasks[0].train.x
        expected = (len(labels), *self.stream.spec.shape)
        _require(tuple(x.shape) == expected, f"sample gave {tuple(x.shape)}, expected {expected}")
        _require(x.dtype == real.dtype, f"sample gave {x.dtype}, expected {real.dtype}")
        _require(
            torch.equal(x, self._sample(self.strategy, labels)), "sample is not seeded by torch's generator"
        )
        _require(
            all(self.strategy.depth(c) >= 1 for c in classes), "depth of a synthetic sample is at least 1"
        )
        replay = self.strategy.replay
        if replay is not None:
            _require(set(replay.classes) <= set(classes), "replay holds classes not seen yet")
            _require(int(replay.depth.min()) >= 1, "replay holds samples of depth 0; real data is not replay")

    def _sample(self, strategy: Any, labels: Tensor) -> Tensor:
        with isolated(0, "sample"), sealed_tests():
            return strategy.sample(labels)

    def restores(self) -> None:
        self.checkpoint = _through_disk(self.strategy.state_dict())
        copy = self._copy()
        same = torch.equal(self._predict(copy, self.x), self._predict(self.strategy, self.x))
        _require(same, "a copy with the same state dict predicts otherwise; something is missing from it")
        if self.strategy.generative:
            labels = torch.tensor(self.stream.seen(0)).repeat(3)
            same = torch.equal(self._sample(copy, labels), self._sample(self.strategy, labels))
            _require(same, "a copy with the same state dict samples otherwise; something is missing from it")
            same = all(copy.depth(c) == self.strategy.depth(c) for c in self.stream.seen(0))
            _require(same, "a copy with the same state dict gives other depths; they belong in it")

    def _copy(self) -> Any:
        copy = self._new()
        copy.load_state_dict(self.checkpoint)
        copy.replay = self.strategy.replay
        return copy

    def continues(self) -> None:
        if len(self.stream.tasks) < 2:
            return
        copy = self._copy()
        self._observe(copy, 1)
        self._observe(self.strategy, 1)
        same = torch.equal(self._predict(copy, self.x), self._predict(self.strategy, self.x))
        _require(same, "resumed after task 1 it learns task 2 otherwise than without a stop")


class _GeneratorTrial:
    """One generator on one tiny task."""

    def __init__(self, resolved: Resolved, stream: TaskStream) -> None:
        self.resolved, self.stream = resolved, stream
        self.generator: Any = None
        self.labels = torch.tensor(stream.seen(0)).repeat(3)

    def _new(self, seed: int) -> Any:
        assert self.resolved.generator is not None
        with isolated(seed, "generator"):
            return self.resolved.generator(
                self.stream.spec, self.resolved.generator_options, torch.device("cpu"), Progress(quiet=True)
            )

    def _sample(self, generator: Any) -> Tensor:
        with isolated(0, "sample"):
            return generator.sample(self.labels)

    def fits(self) -> None:
        self.generator = self._new(0)
        with isolated(0, "fit"):
            self.generator.fit(self.stream.tasks[0].train)

    def samples(self) -> None:
        x, real = self._sample(self.generator), self.stream.tasks[0].train.x
        expected = (len(self.labels), *self.stream.spec.shape)
        _require(tuple(x.shape) == expected, f"sample gave {tuple(x.shape)}, expected {expected}")
        _require(x.dtype == real.dtype, f"sample gave {x.dtype}, expected {real.dtype}")
        _require(torch.equal(x, self._sample(self.generator)), "sample is not seeded by torch's generator")

    def restores(self) -> None:
        copy = self._new(1)
        copy.load_state_dict(_through_disk(self.generator.state_dict()))
        _require(
            torch.equal(self._sample(copy), self._sample(self.generator)),
            "a copy with the same state dict samples otherwise; something is missing from it",
        )


def _through_disk(content: state.State) -> state.State:
    for name, value in content.items():
        _require(
            isinstance(value, Tensor), f"state dict entry {name!r} is {type(value).__name__}, not a tensor"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.safetensors"
        state.save(path, content)
        return state.load(path)


def _digest(samples: Samples) -> str:
    digest = hashlib.sha256()
    for tensor in samples.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _global_state() -> tuple[bytes, bytes, Any]:
    return torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate()  # type: ignore[index]


def _same_state(before: tuple[bytes, bytes, Any]) -> None:
    names = ("torch", "numpy", "random")
    for name, old, new in zip(names, before, _global_state(), strict=True):
        _require(old == new, f"building the stream changed {name}'s global random state")


def _classes(stream: TaskStream) -> None:
    listed = [c for task in stream.tasks for c in task.classes]
    _require(sorted(listed) == list(range(stream.spec.num_classes)), f"tasks hold classes {sorted(listed)}")
    _require(tuple(listed) == stream.class_order, "tasks do not follow the recorded class order")
    for task, test in zip(stream.tasks, stream.test, strict=True):
        for part, where in ((task.train, "train"), (test, "test")):
            _require(
                set(part.classes) == set(task.classes), f"task {task.index}: {where} holds {part.classes}"
            )


def _data(stream: TaskStream) -> None:
    expected = {"image": torch.uint8, "vector": torch.float32, "text": torch.int64}[stream.spec.modality]
    for part in (*(task.train for task in stream.tasks), *stream.test):
        _require(
            part.x.dtype == expected, f"{stream.spec.modality} data must be {expected}, got {part.x.dtype}"
        )
        _require(part.y.dtype == torch.int64, f"labels must be int64, got {part.y.dtype}")
        _require(tuple(part.x.shape[1:]) == stream.spec.shape, f"a part has shape {tuple(part.x.shape)}")
        _require(bool((part.depth == 0).all()), "real data must have depth 0")
        finite = part.x.isfinite() if part.x.is_floating_point() else torch.ones(1)
        _require(bool(finite.all()), "data hold NaN or infinity")


def _parts(stream: TaskStream) -> None:
    for task in stream.tasks:
        for c in task.classes:
            n = len(task.train.of((c,))) + len(task.valid.of((c,)))
            _require(len(task.train.of((c,))) > 0 and n > 1, f"class {c} has {n} training samples")
    share = [len(t.valid) / (len(t.train) + len(t.valid)) for t in stream.tasks]
    _require(max(share) < 0.5, f"valid is {max(share):.0%} of a task's training data")


def _same(stream: TaskStream, again: TaskStream) -> None:
    _require(stream.fingerprint == again.fingerprint, "loaded twice, the data differ")
    for a, b in zip(stream.tasks, again.tasks, strict=True):
        same = (
            a.classes == b.classes
            and _digest(a.train) == _digest(b.train)
            and _digest(a.valid) == _digest(b.valid)
        )
        _require(same, f"task {a.index} differs when built twice")


def _reordered(stream: TaskStream, benchmark: Any) -> None:
    seeds = [seed for seed in (1, 2, 3) if seed != stream.order_seed]
    others = [benchmark.build(seed) for seed in seeds]
    orders = {other.class_order for other in others} | {stream.class_order}
    _require(
        len(orders) > 1 or stream.spec.num_classes < 3, "the order seed has no effect on the class order"
    )
    _require(all(o.fingerprint == stream.fingerprint for o in others), "the order seed changes the data")


def _sealed(stream: TaskStream) -> None:
    with sealed_tests():
        try:
            _ = stream.test
        except UserError:
            return
    raise Problem("the stream hands out its test sets")


def _avalanche(stream: TaskStream) -> None:
    view = stream.avalanche()
    for task, train, test in zip(stream.tasks, view.train_stream, view.test_stream, strict=True):
        _require(
            set(train.classes_in_this_experience) == set(task.classes), f"task {task.index}: other classes"
        )
        _require(list(train.dataset.targets) == task.train.y.tolist(), f"task {task.index}: other labels")
        _require(len(test.dataset) == len(stream.test[task.index]), f"task {task.index}: other test set")
