"""Self-consuming loops of Gaussians follow their closed forms, replica by replica, through the real
strategies.

Every moment is a mean over independent replicas, with a bound of five standard errors: a wrong factor, a sign
or a divisor of n for n − 1 is far outside.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cl_bench import closed_forms as forms

REPLICAS = 20_000


@pytest.fixture
def loop(law_loop):
    """A loop of fitted Gaussians; ten generations of ten samples unless told otherwise."""

    def go(strategy: str, benchmark: str = "gaussian1d", **options: object) -> Iterator[dict[str, Tensor]]:
        options = {"replicas": REPLICAS, "n": 10, "generations": 10} | options
        return law_loop(strategy, benchmark, "gaussian", **options)

    return go


def agree(values: Tensor, expected: float, within: float = 5.0) -> None:
    error = values.std().item() / len(values) ** 0.5
    z = (values.mean().item() - expected) / error
    assert abs(z) < within, f"{values.mean().item():.5f} ± {error:.2g}, expected {expected:.5f}"


def test_replace_by_maximum_likelihood(loop) -> None:
    for t, found in enumerate(loop("bootstrap"), start=1):
        agree(found["variance"], forms.gaussian_replace_variance(t, 10))
        agree(found["std"], forms.gaussian_replace_std(t, 10))
        agree(found["w2"], forms.gaussian_replace_w2(t, 10))
        agree(found["mean_error"], forms.gaussian_replace_mean_error(t, 10))
        # E σ⁴_t = (1 − 1/n²)^t.
        agree(found["variance_squared"], (1 - 1 / 100) ** t)
    assert forms.gaussian_replace_w2(10, 10) == pytest.approx(1.104945, abs=1e-6)


def test_replace_unbiased_keeps_the_mean_of_the_variance_and_loses_all_the_same(loop) -> None:
    k = 9
    for t, found in enumerate(loop("bootstrap", covariance="unbiased"), start=1):
        if t <= 3:  # later its variance is beyond any sample mean
            agree(found["variance"], 1.0)
        agree(found["std"], forms.gaussian_unbiased_std(t, 10))
        agree(found["mean_error"], t / 10)
        agree(found["log_det"], forms.gaussian_unbiased_log_det(t, 10))
        # Var log σ²_t = t ψ′(k/2).
        spread = (found["log_det"] - forms.gaussian_unbiased_log_det(t, 10)).square()
        agree(spread, t * torch.special.polygamma(1, torch.tensor(k / 2)).item())
        agree(found["w2"], forms.gaussian_unbiased_w2(t, 10))
    assert forms.gaussian_unbiased_w2(10, 10) == pytest.approx(1.484216, abs=1e-6)
    assert forms.gaussian_unbiased_w2(2000, 100) == pytest.approx(21.98719, abs=1e-5)
    assert forms.gaussian_unbiased_std(2000, 100) == pytest.approx(0.0064066, abs=1e-7)


@pytest.mark.parametrize("growth", [1.0, 1.5])
def test_larger_and_larger_sets(loop, growth: float) -> None:
    last = None
    for t, found in enumerate(loop("bootstrap", covariance="unbiased", growth=growth), start=1):
        last = found["w2"]
        agree(last, forms.gaussian_unbiased_w2(t, 10, growth))
    assert last is not None
    # Σ 1/t^1.5 converges, Σ 1/t does not: superlinear growth stops the drift.
    assert forms.gaussian_unbiased_w2(10_000, 10, 1.5) < 1.3 * forms.gaussian_unbiased_w2(100, 10, 1.5)
    assert forms.gaussian_unbiased_w2(10_000, 10, 1.0) > 1.5 * forms.gaussian_unbiased_w2(100, 10, 1.0)


@pytest.mark.parametrize("lam", [0.1, 0.5, 1.0, 4.0])
def test_fixed_real_data_and_synthetic(loop, lam: float) -> None:
    for t, found in enumerate(loop("mixed", n=50, lambda_=lam), start=1):
        agree(found["variance"], forms.gaussian_mixed_variance(t, 50, lam))
    fixed = {0.1: 0.998336, 0.5: 0.995025, 1.0: 0.993377, 4.0: 0.991189}[lam]
    assert forms.gaussian_mixed_variance(500, 50, lam) / (1 - 1 / 50) == pytest.approx(fixed, abs=1e-6)


def test_fresh_real_data_and_synthetic(loop) -> None:
    options = {"n": 10, "fresh": True, "generations": 6, "lambda_": 1.0}
    for t, found in enumerate(loop("mixed", **options), start=1):
        agree(found["variance"], forms.gaussian_fresh_variance(t, 10, 1.0))
        agree(found["mean_error"], 1 - forms.gaussian_fresh_variance(t, 10, 1.0))


def test_preserve_ten_per_cent(loop) -> None:
    """The set has n samples throughout, a tenth of them the same real ones. Of every loop by maximum
    likelihood, whatever its mix, E[σ²_t + (μ_t − μ_0)²] is conserved: a fit copies the first two moments of
    its set."""
    for t, found in enumerate(loop("mixed", n=100, real=0.1, lambda_=0.9, generations=8), start=1):
        agree(found["variance"], forms.gaussian_mixed_variance(t, 100, 0.9, 0.1))
        agree(found["variance"] + found["mean_error"], 1.0)


def test_accumulate(loop) -> None:
    for t, found in enumerate(loop("accumulate", n=20), start=1):
        agree(found["variance"], forms.gaussian_accumulate_variance(t, 20))
        agree(found["mean_error"], 1 - forms.gaussian_accumulate_variance(t, 20))
    assert forms.accumulate_limit_variance(20) == pytest.approx(0.919759, abs=1e-6)
    assert forms.gaussian_accumulate_variance(5000, 20) == pytest.approx(0.919759, abs=1e-4)


def test_accumulate_and_subsample_lies_between(loop) -> None:
    """J. Kazdan et al. 2024: a set of constant size drawn from all that has accumulated loses more than all
    of it, and less than what replaces it."""
    last = {name: list(loop(name, n=20, **more))[-1]["variance"].mean() for name, more in (
        ("bootstrap", {}), ("accumulate", {"subsample": True}))}  # fmt: skip
    assert last["bootstrap"] + 0.05 < last["accumulate"]
    assert last["accumulate"] < forms.gaussian_accumulate_variance(10, 20) - 0.02


def test_a_window_of_one_without_real_data_replaces(loop) -> None:
    for t, found in enumerate(loop("accumulate", window=1, real=0), start=1):
        agree(found["variance"], forms.gaussian_replace_variance(t, 10))


def test_a_window_of_two_without_real_data(loop) -> None:
    # Two sets of n from the two latest laws: E S = σ² and means m₁, m₂ are conserved in total (invariant).
    for found in loop("accumulate", window=2, real=0):
        agree(found["variance"] + found["mean_error"], 1.0)


def test_many_dimensions(loop) -> None:
    d, n = 3, 12
    options = {"replicas": 4000, "n": n, "covariance": "unbiased", "generations": 4}
    for t, found in enumerate(loop("bootstrap", f"gaussian:{d}", **options), start=1):
        agree(found["variance"], 1.0)
        agree(found["mean_error"], d * t / n)
        agree(found["log_det"], forms.gaussian_unbiased_log_det(t, n, d))
        agree(found["second_moment"], forms.gaussian_unbiased_second_moment(t, n, d))
        agree(found["variance_squared"], forms.gaussian_unbiased_variance_squared(t, n, d))


def test_fewer_samples_than_dimensions_leave_a_plane(loop) -> None:
    """n samples span n − 1 dimensions, from the first generation on: no volume is left."""
    for found in loop("bootstrap", "gaussian:8", replicas=50, n=5, generations=3):
        assert (found["log_det"] == -torch.inf).all()
        assert (found["effective_dimension"] <= 4 + 1e-9).all()
