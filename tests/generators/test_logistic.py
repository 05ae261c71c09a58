"""The logistic location family: its maximum, its samples, and the rate at which it forgets a shift."""

from __future__ import annotations

import math

import pytest
import scipy.stats
import torch

from cl_bench import closed_forms
from cl_bench.errors import UserError
from cl_bench.generators.logistic import Logistic, LogisticOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.stream import StreamSpec


def make(replicas: int = 1, shift: float = 0.0) -> Logistic:
    shape = (replicas, 1) if replicas > 1 else (1,)
    spec = StreamSpec("vector", shape, ("all",), 1, replicas=replicas)
    return Logistic(spec, LogisticOptions(shift), torch.device("cpu"), Progress(quiet=True))


def real(x: torch.Tensor) -> Samples:
    return Samples.real(x, torch.zeros(len(x)).long())


def test_fit_is_scipys() -> None:
    x = torch.distributions.Gamma(2.0, 1.0).sample((400, 1)) + 7
    generator = make()
    generator.fit(real(x))
    expected, _ = scipy.stats.logistic.fit(x.double().numpy(), fscale=1)
    assert generator.location.item() == pytest.approx(expected, abs=1e-3)


def test_samples_are_logistic() -> None:
    torch.manual_seed(0)
    generator = make()
    generator.location += 3
    x = generator.sample(torch.zeros(5000).long())
    assert x.shape == (5000, 1)
    assert scipy.stats.kstest(x.flatten().numpy(), "logistic", args=(3,)).pvalue > 1e-4


def test_the_shift_is_made_once() -> None:
    torch.manual_seed(0)
    x = torch.randn(100, 2, 1)
    generator = make(2, shift=0.5)
    generator.fit(real(x))
    assert torch.allclose(generator.location, generator.first + 0.5)
    generator.fit(real(x))
    assert torch.allclose(generator.location, generator.first, atol=1e-5)
    copy = make(2, shift=0.5)
    copy.load_state_dict(generator.state_dict())
    copy.fit(real(x))
    assert torch.allclose(copy.location, generator.location)


def test_the_closed_form_is_the_notes() -> None:
    found = [
        closed_forms.evaluate("logistic-contraction", {"lambda_": lam, "shape": 2}, {"t": 2})
        for lam in (0.1, 0.5, 1, 5)
    ]
    assert found == pytest.approx([0.080726, 0.305109, 0.467560, 0.814497], abs=1e-6)


@pytest.mark.parametrize("lam", [0.5, 5.0])
def test_it_forgets_at_that_rate(lam: float) -> None:
    """Real data fixed; the next fit sees them and λ of its own samples each: two generations after the
    shift."""
    torch.manual_seed(1)
    replicas, n = 4000, 500
    x = torch.distributions.Gamma(2.0, 1.0).sample((n, replicas, 1)) - 2
    generator = make(replicas, shift=0.1)
    generator.fit(real(x))
    for t in (2, 3):
        more = generator.sample(torch.zeros(round(lam * n)).long())
        generator.fit(real(torch.cat([x, more])))
        left = (generator.location - generator.first) / 0.1
        error = left.std().item() / math.sqrt(replicas)
        expected = closed_forms.evaluate("logistic-contraction", {"lambda_": lam, "shape": 2}, {"t": t})
        assert abs(left.mean().item() - expected) < 5 * error
        assert error < 0.01


def test_more_than_numbers_are_refused() -> None:
    spec = StreamSpec("vector", (2,), ("all",), 1)
    with pytest.raises(UserError, match="makes numbers of one class"):
        Logistic(spec, LogisticOptions(), torch.device("cpu"), Progress(quiet=True))
