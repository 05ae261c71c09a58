"""Least squares: its fit, and its closed forms through the real loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cl_bench import closed_forms
from cl_bench.errors import UserError
from cl_bench.generators.ols import OLS, OLSOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec

CPU, REPLICAS = torch.device("cpu"), 4000


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


@pytest.mark.parametrize("label_noise", ["estimated", "0.5"])
def test_replacing_adds_the_same_error_each_time(label_noise: str, law_loop) -> None:
    n, d, s = 30, 3, 0.5
    options = {"n": n, "replicas": REPLICAS, "generations": 5, "noise": s, "label_noise": label_noise}
    for t, found in enumerate(law_loop("bootstrap", f"linear:{d}", "ols", **options), start=1):
        expected = closed_forms.ols_weight_error(t, n, d, s)
        error = found["weight_error"].std().item() / REPLICAS**0.5
        assert abs(found["weight_error"].mean().item() - expected) < 5 * error
        assert error < 0.03 * expected


def test_accumulating_stays_below_its_bound(law_loop) -> None:
    n, d, s = 30, 3, 0.5
    options = {"n": n, "replicas": REPLICAS, "generations": 8, "noise": s, "label_noise": s}
    errors = [f["weight_error"] for f in law_loop("accumulate", f"linear:{d}", "ols", **options)]
    first = s**2 * d / (n - d - 1)
    bound = math.pi**2 / 6 * first
    means = [e.mean().item() for e in errors]
    se = [e.std().item() / REPLICAS**0.5 for e in errors]
    assert abs(means[0] - first) < 5 * se[0]
    assert all(mean < bound for mean in means)
    assert means[-1] > means[0] + 5 * se[-1], "it does rise, as Σ 1/t² does"


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match="3 samples do not determine 3 weights"):
        make().fit(Samples.real(torch.randn(3, 4), torch.zeros(3).long()))
    with pytest.raises(UserError, match="linear:5"):
        OLS(StreamSpec("vector", (4,), ("a", "b"), 1), OLSOptions(), CPU, Progress(quiet=True))
