"""Which network for which data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_bench.networks import body
from cl_bench.stream import StreamSpec


@pytest.mark.parametrize(
    ("modality", "shape", "convolutions"),
    [
        ("image", (1, 8, 8), 0),
        ("image", (1, 28, 28), 0),
        ("vector", (2000,), 0),
        ("image", (3, 32, 32), 4),
        ("image", (3, 64, 64), 5),
        ("image", (3, 40, 24), 4),
    ],
)
def test_convolutions_for_larger_images(modality, shape, convolutions: int) -> None:
    net = body(StreamSpec(modality, shape, ("a", "b"), 1), width=32)
    assert sum(isinstance(layer, nn.Conv2d) for layer in net) == convolutions
    out = net(torch.randn(5, *shape))
    assert out.shape == (5, 32)
    assert bool((out >= 0).all())
