"""Training speed of wgan against its floor, the same matrix products alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cl_bench.generators.wgan import WGAN, Perceptron, WGANOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec

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


def products(net: Perceptron, rows: int, forward: int, inputs: int, weights: int) -> Callable[[], None]:
    """The products of all layers with `rows` rows: so often forward, for inputs' and weights' gradients."""
    matrices = [layer.weight.detach() for layer in (*net.hidden, net.last)]
    xs = [torch.randn(rows, w.shape[1]) for w in matrices]
    ys = [torch.randn(rows, w.shape[0]) for w in matrices]

    def go() -> None:
        for w, x, y in zip(matrices, xs, ys, strict=True):
            found: Tensor
            for _ in range(forward):
                found = x @ w.T
            for _ in range(inputs):
                found = y @ w
            for _ in range(weights):
                found = y.T @ x
            del found

    return go


@pytest.mark.parametrize("penalty", ["gradient", "clipping"])
def test_a_training_step_against_its_matrix_products(penalty: str) -> None:
    steps, options = 30, WGANOptions(penalty=penalty, steps=30)  # type: ignore[arg-type]
    generator = WGAN(StreamSpec("vector", (2,), ("a",), 1), options, torch.device("cpu"), Progress(True))
    data = Samples.real(torch.randn(5000, 2), torch.zeros(5000).long())
    step = seconds(lambda: generator.fit(data)) / steps

    n, maker, judge = options.batch, generator.net, generator.critic
    critic = [products(judge, 2 * n, 1, 1, 1)]
    if penalty == "gradient":
        # Masks at the points between; the slopes, which are products with the weights, and their gradients.
        critic += [products(judge, n, 1, 1, 0), products(judge, n, 1, 0, 1)]
    once = [products(maker, options.n_critic * n, 1, 0, 0), products(maker, n, 1, 1, 1)]
    once += [products(judge, n, 1, 1, 0)]

    @torch.no_grad()
    def floor() -> None:
        for work in [*critic * options.n_critic, *once]:
            work()

    least = seconds(lambda: [floor() for _ in range(steps)]) / steps
    print(
        f"{penalty}: step {1e3 * step:.2f} ms, its matrix products {1e3 * least:.2f} ms: {step / least:.2f}"
    )
    assert step < 5 * least
