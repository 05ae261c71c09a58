"""`check` for a generator: fits, samples by label, is restored from its state dict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from cl_bench.checks.findings import PER_CLASS, Finding, card, findings, require, through_disk, tiny
from cl_bench.config import Request, Resolved, resolve
from cl_bench.progress import Progress
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream


def check_generator(request: Request) -> Iterator[Finding]:
    """Findings about `request.generator`, fitted to one tiny task."""
    resolved = resolve(tiny(dataclasses.replace(request, strategy="joint")))
    assert resolved.generator is not None
    stream = resolved.new_benchmark().build(request.order_seed, PER_CLASS)
    trial = _GeneratorTrial(resolved, stream)
    yield from findings(
        ("card: docstring, paper, options with help", lambda: card(resolved.generator)),
        ("fits a tiny task", trial.fits),
        ("samples: shape, type, seeded", trial.samples),
        ("state dict: a fresh copy samples the same", trial.restores),
    )


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
        require(tuple(x.shape) == expected, f"sample gave {tuple(x.shape)}, expected {expected}")
        require(x.dtype == real.dtype, f"sample gave {x.dtype}, expected {real.dtype}")
        require(torch.equal(x, self._sample(self.generator)), "sample is not seeded by torch's generator")

    def restores(self) -> None:
        copy = self._new(1)
        copy.load_state_dict(through_disk(self.generator.state_dict()))
        require(
            torch.equal(self._sample(copy), self._sample(self.generator)),
            "a copy with the same state dict samples otherwise; something is missing from it",
        )
