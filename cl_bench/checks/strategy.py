"""`check` for a strategy: card, contract, two tiny tasks, no peeking, checkpoints that go on bit for bit."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cl_bench import state
from cl_bench.checks.findings import PER_CLASS, Finding, card, digest, findings, require, through_disk, tiny
from cl_bench.config import Request, Resolved, resolve
from cl_bench.progress import Progress
from cl_bench.runner import new_strategy
from cl_bench.samples import concat
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream, sealed_tests


def check_strategy(request: Request) -> Iterator[Finding]:
    """Findings about `request.strategy`, run on two tiny tasks of `request.benchmark`."""
    resolved = resolve(tiny(request))
    stream = resolved.new_benchmark().build(request.order_seed, PER_CLASS)
    trial = _StrategyTrial(resolved, stream)
    yield from findings(
        ("card: docstring, paper, options with help", lambda: card(resolved.strategy)),
        ("predict takes samples and nothing else, no task id", lambda: _signature(resolved.strategy)),
        ("is built from setting and options", trial.builds),
        ("predicts before the first task", trial.predicts),
        ("learns a tiny task without touching test sets or the task's data", lambda: trial.observes(0)),
        ("logits: shape, finite, row i from x[i] only", trial.predicts),
        ("samples: shape, type, labels seen so far, seeded", trial.samples),
        ("state dict: a fresh copy predicts and samples the same", trial.restores),
        ("goes on after a stop bit for bit", trial.continues),
    )


def _signature(strategy: Any) -> None:
    parameters = list(inspect.signature(strategy.predict).parameters.values())[1:]
    require(
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
            return new_strategy(self.resolved, self.stream.spec, torch.device("cpu"), Progress(quiet=True))

    def _predict(self, strategy: Any, x: Tensor) -> Tensor:
        with isolated(0, "predict"), sealed_tests():
            return strategy.predict(x)

    def _observe(self, strategy: Any, index: int) -> None:
        with isolated(0, "observe", index), sealed_tests():
            strategy.observe(self.stream.tasks[index])

    def observes(self, index: int) -> None:
        task = self.stream.tasks[index]
        before = [digest(task.train), digest(task.valid)]
        self._observe(self.strategy, index)
        require(before == [digest(task.train), digest(task.valid)], "observe changed the task's own tensors")

    def predicts(self) -> None:
        logits = self._predict(self.strategy, self.x)
        shape = (len(self.x), self.stream.spec.num_classes)
        require(isinstance(logits, Tensor), f"predict gave {type(logits).__name__}, expected a tensor")
        require(tuple(logits.shape) == shape, f"predict gave {tuple(logits.shape)}, expected {shape}")
        require(logits.device.type == "cpu", "predict must give its logits on the CPU")
        require(bool(logits.isfinite().all()), "predict gave NaN or infinity")
        again = self._predict(self.strategy, self.x)
        require(torch.equal(logits, again), "predict gives other logits for the same samples and seed")
        # Small differences are a matrix product's rounding; more is a look at the rest of the batch.
        alone = torch.cat([self._predict(self.strategy, self.x[i : i + 1]) for i in range(0, len(self.x), 5)])
        scale = max(1.0, logits.abs().max().item())
        require(
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
        require(tuple(x.shape) == expected, f"sample gave {tuple(x.shape)}, expected {expected}")
        require(x.dtype == real.dtype, f"sample gave {x.dtype}, expected {real.dtype}")
        require(
            torch.equal(x, self._sample(self.strategy, labels)), "sample is not seeded by torch's generator"
        )
        require(
            all(self.strategy.depth(c) >= 1 for c in classes), "depth of a synthetic sample is at least 1"
        )
        replay = self.strategy.replay
        if replay is not None:
            require(set(replay.classes) <= set(classes), "replay holds classes not seen yet")
            require(int(replay.depth.min()) >= 1, "replay holds samples of depth 0; real data is not replay")

    def _sample(self, strategy: Any, labels: Tensor) -> Tensor:
        with isolated(0, "sample"), sealed_tests():
            return strategy.sample(labels)

    def restores(self) -> None:
        self.checkpoint = through_disk(self.strategy.state_dict())
        self._same(
            self._copy(), 0, "a copy with the same state dict {} otherwise; something is missing from it"
        )

    def _copy(self) -> Any:
        copy = self._new()
        copy.load_state_dict(self.checkpoint)
        copy.replay = self.strategy.replay
        return copy

    def continues(self) -> None:
        if len(self.stream.tasks) < 2:
            return
        copy = self._repeated() if self.strategy.resumes_by_repeating else self._copy()
        self._observe(copy, 1)
        self._observe(self.strategy, 1)
        self._same(copy, 1, "resumed after task 1 it {} otherwise after task 2 than without a stop")

    def _repeated(self) -> Any:
        """What the runner goes on with where the state dict is not enough: task 1 learned once more."""
        copy = self._new()
        self._observe(copy, 0)
        same = state.equal(copy.state_dict(), self.checkpoint)
        require(same, "task 1 repeated with the same seed gives another state dict")
        return copy

    def _same(self, copy: Any, after_task: int, problem: str) -> None:
        """Predictions, samples and depths of `copy` are those of the strategy itself."""
        same = torch.equal(self._predict(copy, self.x), self._predict(self.strategy, self.x))
        require(same, problem.format("predicts"))
        if self.strategy.generative:
            seen = self.stream.seen(after_task)
            labels = torch.tensor(seen).repeat(3)
            same = torch.equal(self._sample(copy, labels), self._sample(self.strategy, labels))
            require(same, problem.format("samples"))
            require(
                all(copy.depth(c) == self.strategy.depth(c) for c in seen), problem.format("counts depth")
            )
