"""The kernel density estimate: its moments, its rule, and its closed form through the real loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde

from cl_bench import closed_forms
from cl_bench.errors import UserError
from cl_bench.generators.kde import KDE, KDEOptions
from cl_bench.law import Moments
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec


def make(bandwidth: float | str = "scott", classes: int = 1, size: int = 2) -> KDE:
    spec = StreamSpec("vector", (size,), tuple(map(str, range(classes))), 1)
    return KDE(spec, KDEOptions(bandwidth), torch.device("cpu"), Progress(quiet=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("bandwidth", ["scott", 0.7])
def test_law_and_samples_have_the_moments_of_scipys_estimate(bandwidth: float | str) -> None:
    torch.manual_seed(0)
    x = torch.randn(40, 2) @ torch.tensor([[2.0, 1], [0, 1]]) + 3
    generator = make(bandwidth)
    generator.fit(Samples.real(x, torch.zeros(40).long()))
    law = generator.law()
    assert isinstance(law, Moments)
    theirs = gaussian_kde(x.T.double().numpy()).covariance if bandwidth == "scott" else 0.49 * np.eye(2)
    expected = np.cov(x.T.double().numpy(), ddof=0) + theirs
    assert np.allclose(law.covariance[0].numpy(), expected, rtol=1e-9)
    n = 200_000
    drawn = generator.sample(torch.zeros(n).long()).double()
    variance = np.diag(expected)
    assert (abs(drawn.mean(0).numpy() - law.mean[0].numpy()) < 5 * np.sqrt(variance / n)).all()
    # Lighter tails than a Gaussian's, or the same.
    assert (abs(drawn.var(0).numpy() / variance - 1) < 5 * math.sqrt(2 / n)).all()
    assert abs(np.cov(drawn.T.numpy())[0, 1] - expected[0, 1]) < 5 * math.sqrt(2 * variance.prod() / n)


def test_classes_are_kept_apart_and_old_ones_stay() -> None:
    generator = make(0.0, classes=2)
    generator.fit(Samples.real(torch.ones(3, 2), torch.zeros(3).long()))
    generator.fit(Samples.real(5 * torch.ones(2, 2), torch.ones(2).long()))
    y = torch.tensor([0, 1, 0, 1])
    assert torch.equal(generator.sample(y)[:, 0], torch.tensor([1.0, 5, 1, 5]))
    with pytest.raises(UserError, match="has not seen"):
        make().sample(torch.zeros(1).long())


@pytest.mark.parametrize("bandwidth", ["0.3", "scott", "0"])
def test_the_loop_has_its_closed_form(bandwidth: str, law_loop) -> None:
    n, keep = 10, 1 - 1 / 10
    options = {"n": n, "replicas": 20_000, "generations": 5, "bandwidth": bandwidth}
    for t, found in enumerate(law_loop("bootstrap", "gaussian1d", "kde", **options)):
        if bandwidth == "scott":
            # The kernel's covariance is that of the data, unbiased, times n^{−2/5}.
            expected = (keep * (1 + n**-0.4 * n / (n - 1))) ** (t + 1)
        else:
            # The law that is fitted has the variance of its data and the kernel's.
            h = float(bandwidth)
            expected = closed_forms.kde_variance(t + 1, n, h)
        error = found["variance"].std().item() / 20_000**0.5
        assert abs(found["variance"].mean().item() - expected) < 5 * error
        assert error < 0.02 * expected


def test_images_are_refused() -> None:
    with pytest.raises(UserError, match="makes vectors"):
        KDE(StreamSpec("image", (1, 2, 2), ("a",), 1), KDEOptions(), torch.device("cpu"), Progress(True))
