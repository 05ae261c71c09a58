"""Squared 2-Wasserstein distance of many pairs of Gaussians at once, from their covariances.

‖m₁−m₂‖² + tr S₁ + tr S₂ − 2 tr(S₁^½ S₂ S₁^½)^½  (Givens and Shortt 1984). For Gaussians fitted to samples,
gaussian.py is exact where these eigenvalues lose half their digits: with fewer samples than dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor


def root_trace(matrices: Tensor) -> Tensor:
    """tr S^½ of symmetric positive semi-definite S (…, d, d), in units of the data: (…,)."""
    if matrices.shape[-1] == 1:
        return matrices[..., 0, 0].clamp(min=0).sqrt()
    return torch.linalg.eigvalsh(matrices).clamp(min=0).sqrt().sum(-1)


def squared_w2(mean: Tensor, covariance: Tensor, other_mean: Tensor, other_covariance: Tensor) -> Tensor:
    """Of N(mean, covariance) and N(other_mean, other_covariance): (…, d) and (…, d, d), float64, leading axes
    broadcast; (…,) in squared units of the data. May be negative by rounding, which is not clamped."""
    if mean.shape[-1] == 1:
        stds, other_stds = covariance[..., 0, 0].sqrt(), other_covariance[..., 0, 0].sqrt()
        return (mean - other_mean).square().sum(-1) + (stds - other_stds).square()
    values, vectors = torch.linalg.eigh(other_covariance)
    root = (vectors * values.clamp(min=0).sqrt().unsqueeze(-2)) @ vectors.mT
    traces = (covariance + other_covariance).diagonal(dim1=-2, dim2=-1).sum(-1)
    apart = (mean - other_mean).square().sum(-1)
    return apart + traces - 2 * root_trace(root @ covariance @ root)
