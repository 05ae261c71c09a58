"""The Gaussian generator follows its closed forms through the real loop."""

from __future__ import annotations

import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec


def make(covariance: str = "mle", size: int = 3) -> Gaussian:
    spec = StreamSpec("vector", (size,), ("a", "b"), 1)
    return Gaussian(spec, GaussianOptions(covariance), torch.device("cpu"), Progress(quiet=True))


@pytest.mark.parametrize(("covariance", "divisor"), [("mle", 0), ("unbiased", 1)])
def test_fit_is_the_estimate(covariance: str, divisor: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(20, 3).double() @ torch.tensor([[2.0, 1, 0], [0, 1, 0], [0, 3, 1]]).double() + 5
    generator = make(covariance)
    generator.fit(Samples.real(x, torch.zeros(20).long()))
    assert torch.allclose(generator.mean[0, 0], x.mean(0))
    assert torch.allclose(
        generator.factor[0, 0].T @ generator.factor[0, 0], x.T.cov(correction=divisor), atol=1e-10
    )


@pytest.mark.parametrize(("covariance", "factor"), [("mle", 1 - 1 / 10), ("unbiased", 1.0)])
def test_replacement_shrinks_the_variance_as_it_must(covariance: str, factor: float) -> None:
    # E trΣ_t = factor^t trΣ_0 for t refits on n = 10 of its own samples, started at the truth.
    torch.manual_seed(1)
    n, rounds, replicas = 10, 5, 600
    labels = torch.zeros(n).long()
    traces = []
    for _ in range(replicas):
        generator = make(covariance)
        generator.factor[0, 0] = torch.eye(3)
        for _ in range(rounds):
            generator.fit(Samples.real(generator.sample(labels), labels))
        traces.append(generator.factor[0].square().sum())
    found = torch.stack(traces)
    z = (found.mean() - 3 * factor**rounds) / (found.std() / replicas**0.5)
    assert abs(z) < 5


def test_images_are_uint8_in_range_and_text_is_refused() -> None:
    spec = StreamSpec("image", (1, 2, 2), ("a",), 1)
    generator = Gaussian(spec, GaussianOptions(), torch.device("cpu"), Progress(quiet=True))
    x = torch.tensor([0, 255, 0, 255], dtype=torch.uint8).reshape(1, 1, 2, 2).repeat(5, 1, 1, 1)
    generator.fit(Samples.real(x, torch.zeros(5).long()))
    assert torch.equal(generator.sample(torch.zeros(5).long()), x)
    with pytest.raises(UserError, match="not text"):
        Gaussian(StreamSpec("text", (8,), ("a",), 1), GaussianOptions(), torch.device("cpu"), Progress(True))
