"""Least squares: its fit, and its closed forms through the real loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.generators.ols import OLS, OLSOptions
from cl_bench.progress import Progress
from cl_bench.runner import run
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec

CPU = torch.device("cpu")


def make(**options: object) -> OLS:
    spec = StreamSpec("vector", (4,), ("all",), 1)
    return OLS(spec, OLSOptions(**options), CPU, Progress(quiet=True))  # type: ignore[arg-type]


def test_fit_is_numpys_and_noise_is_unbiased() -> None:
    torch.manual_seed(0)
    data = torch.randn(30, 4)
    x, y = data[:, :3].double().numpy(), data[:, 3].double().numpy()
    expected, residual, _, _ = np.linalg.lstsq(x, y, rcond=None)
    generator = make()
    generator.fit(Samples.real(data, torch.zeros(30).long()))
    assert generator.weights[0].numpy() == pytest.approx(expected, rel=1e-6)
    assert generator.noise.item() == pytest.approx(math.sqrt(residual[0] / 27), rel=1e-6)
    known = make(label_noise=0.25)
    known.fit(Samples.real(data, torch.zeros(30).long()))
    assert known.noise.tolist() == [0.25]


def test_samples_follow_the_fit() -> None:
    torch.manual_seed(1)
    generator, n = make(), 100_000
    generator.weights[0] = torch.tensor([1.0, -2, 0.5])
    generator.noise[0] = 0.3
    drawn = generator.sample(torch.zeros(n).long()).double()
    residual = drawn[:, 3] - drawn[:, :3] @ generator.weights[0]
    assert abs(residual.var().item() / 0.09 - 1) < 5 * math.sqrt(2 / n)
    assert ((drawn[:, :3].T.cov() - torch.eye(3)).abs() < 5 * math.sqrt(2 / n)).all()


def loop(strategy: str, tmp_path: Any, n: int, d: int, tasks: int, **options: object) -> Any:
    found = run(
        strategy,
        f"linear:{d}",
        "ols",
        evaluators=("law",),
        output=tmp_path,
        quiet=True,
        n=n,
        replicas=4000,
        generations=tasks,
        **options,
    )
    return found.rows.pivot(index="after_task", columns="metric", values="value")


@pytest.mark.parametrize("label_noise", ["estimated", "0.5"])
def test_replacing_adds_the_same_error_each_time(label_noise: str, tmp_path) -> None:
    n, d, s, tasks = 30, 3, 0.5, 5
    rows = loop("bootstrap", tmp_path, n, d, tasks, noise=s, label_noise=label_noise)
    for t in range(tasks):
        expected = (t + 1) * s**2 * d / (n - d - 1)
        z = (rows["law:weight_error"][t] - expected) / rows["law:weight_error:se"][t]
        assert abs(z) < 5
        assert rows["law:weight_error:se"][t] < 0.03 * expected


def test_accumulating_stays_below_its_bound(tmp_path) -> None:
    n, d, s, tasks = 30, 3, 0.5, 8
    rows = loop("accumulate", tmp_path, n, d, tasks, noise=s, label_noise=s)
    first, bound = s**2 * d / (n - d - 1), math.pi**2 / 6 * s**2 * d / (n - d - 1)
    error, se = rows["law:weight_error"], rows["law:weight_error:se"]
    assert abs(error[0] - first) < 5 * se[0]
    assert (error <= bound).all()
    assert error[tasks - 1] > error[0] + 5 * se[tasks - 1], "it does rise, as far as Σ 1/t²"


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match="3 samples do not determine 3 weights"):
        make().fit(Samples.real(torch.randn(3, 4), torch.zeros(3).long()))
    with pytest.raises(UserError, match="linear:5"):
        OLS(StreamSpec("vector", (4,), ("a", "b"), 1), OLSOptions(), CPU, Progress(quiet=True))
