"""Wasserstein distances of Gaussians by their parameters: closed forms, and the distance from samples."""

from __future__ import annotations

import pytest
import torch

from cl_bench.metrics.bures import root_trace, squared_w2
from cl_bench.metrics.gaussian import GaussianFit, squared_distance


def gaussians(r: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(d)
    factor = torch.randn(r, d, d, generator=generator, dtype=torch.float64)
    return torch.randn(r, d, generator=generator, dtype=torch.float64), factor.mT @ factor


@pytest.mark.parametrize("d", [1, 2, 5])
def test_as_from_factors(d: int) -> None:
    mean, covariance = gaussians(6, d)
    found = squared_w2(mean[:3], covariance[:3], mean[3:], covariance[3:])
    for i in range(3):
        a, b = (
            GaussianFit(mean[k].numpy(), torch.linalg.cholesky(covariance[k]).mT.numpy()) for k in (i, i + 3)
        )
        assert found[i].item() == pytest.approx(squared_distance(a, b), rel=1e-9)


def test_commuting_covariances() -> None:
    # ‖m₁ − m₂‖² + Σ (σ₁ − σ₂)² of diagonal ones.
    a, b = torch.tensor([[4.0, 9.0, 0.0]]).double(), torch.tensor([[1.0, 1.0, 4.0]]).double()
    mean = torch.zeros(1, 3).double()
    found = squared_w2(mean, a.diag_embed(), mean + 2, b.diag_embed())
    assert found.item() == pytest.approx(12 + 1 + 4 + 4)
    assert root_trace(a.diag_embed()).item() == pytest.approx(5)


def test_zero_from_itself_and_symmetric() -> None:
    mean, covariance = gaussians(4, 3)
    assert squared_w2(mean, covariance, mean, covariance).abs().max() < 1e-9
    one = squared_w2(mean[:2], covariance[:2], mean[2:], covariance[2:])
    other = squared_w2(mean[2:], covariance[2:], mean[:2], covariance[:2])
    assert torch.allclose(one, other)
