"""Training speed of the default generator against its floor, the same matrix products alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import concat
from cl_bench.stream import TaskStream

pytestmark = pytest.mark.perf


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The best of `repeats`, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_training_step_against_its_matrix_products(digits: TaskStream) -> None:
    steps, options = 100, MLPDiffusionOptions(steps=100)
    generator = MLPDiffusion(digits.spec, options, torch.device("cpu"), Progress(quiet=True))
    data = concat(task.train for task in digits.tasks)
    step = seconds(lambda: generator.fit(data)) / steps

    # Each weight (out, in) takes part in three products per step: forward, gradient of input and of weight.
    weights = [p for p in generator.net.parameters() if p.dim() == 2 and p is not generator.net.label.weight]
    inputs = [torch.randn(options.batch, w.shape[1]) for w in weights]
    outputs = [torch.randn(options.batch, w.shape[0]) for w in weights]

    @torch.no_grad()
    def products() -> None:
        for w, x, y in zip(weights, inputs, outputs, strict=True):
            _ = x @ w.T
            _ = y @ w
            _ = y.T @ x

    floor = seconds(lambda: [products() for _ in range(steps)]) / steps
    flops = 6 * options.batch * sum(w.numel() for w in weights)
    print(
        f"step {1e3 * step:.2f} ms, its matrix products {1e3 * floor:.2f} ms: "
        f"{step / floor:.2f} times the floor, {flops / step / 1e9:.0f} GFLOP/s of {flops / floor / 1e9:.0f}"
    )
    assert step < 4 * floor
