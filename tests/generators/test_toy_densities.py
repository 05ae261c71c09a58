"""ddpm, edm and flow on two classic densities: their own loss and sampler, a network for points.

Points are images of one pixel and two channels, so that nothing but the network differs from training on
images.
"""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import numpy as np
import ot
import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.generators.edm import EDM, EDMOptions
from cl_bench.generators.flow import Flow, FlowOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled, to_uint8
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec
from cl_bench.training import Compiled

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
KINDS = {"ddpm": (DDPM, DDPMOptions), "edm": (EDM, EDMOptions), "flow": (Flow, FlowOptions)}
TRAINING = {"steps": 3000, "batch": 512, "learning_rate": 3e-3, "ema": 0.99}
RADIUS, STD = 0.7, 0.05


class PointNetwork(nn.Module):
    """f(x, t, y) of points x (n, 2, 1, 1): a multi-layer perceptron given the sines of time."""

    def __init__(self, classes: int, width: int = 128) -> None:
        super().__init__()
        self.label = nn.Embedding(classes, 8)
        sizes = [2 + 17 + 8, width, width, width]
        hidden = [m for i, o in itertools.pairwise(sizes) for m in (nn.Linear(i, o), nn.SiLU())]
        self.net = nn.Sequential(*hidden, nn.Linear(width, 2))

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        angles = t[:, None] * math.pi * 2 ** torch.arange(8)
        known = [x.flatten(1), t[:, None], angles.sin(), angles.cos(), self.label(y)]
        return self.net(torch.cat(known, 1)).view_as(x)


def eight_gaussians(n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(n)
    angle = generator.integers(8, size=n) * math.pi / 4
    centre = RADIUS * np.stack([np.cos(angle), np.sin(angle)], 1)
    return centre + STD * generator.standard_normal((n, 2)), np.zeros(n, dtype=np.int64)


def two_moons(n: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = make_moons(n, noise=0.06, random_state=n)
    return (x - [0.5, 0.25]) * 0.5, y


def trained_on(density: Any, kind: str, classes: int) -> Any:
    x, y = density(4000)
    images = to_uint8(torch.from_numpy(x)).view(-1, 2, 1, 1)
    spec = StreamSpec("image", (2, 1, 1), tuple(map(str, range(classes))), 1)
    cls, options = KINDS[kind]
    with isolated(0, "toy"):
        # Optimal transport of a batch takes the cube of its size: smaller batches, more of them.
        settings = TRAINING | ({"batch": 192, "steps": 6000} if kind == "flow" else {})
        generator = cls(spec, options(**settings), CPU, Progress(quiet=True))
        generator.net = PointNetwork(classes + 1)
        generator.averaged = copy.deepcopy(generator.net).requires_grad_(False)
        generator.forward = Compiled(generator.net, generator.options, CPU, generator.progress)
        generator.fit(Samples.real(images, torch.from_numpy(y)))
    return generator


def drawn(generator: Any, y: Tensor) -> np.ndarray:
    with isolated(0, "draw"):
        return scaled(generator.sample(y)).flatten(1).numpy().astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_all_eight_gaussians_are_found_and_little_between_them(kind: str) -> None:
    x = drawn(trained_on(eight_gaussians, kind, 1), torch.zeros(1000).long())
    angles = np.arange(8) * math.pi / 4
    modes = RADIUS * np.stack([np.cos(angles), np.sin(angles)], 1)
    distance = np.linalg.norm(x[:, None] - modes, axis=2)
    near = distance.min(1) < 4 * STD
    shares = np.bincount(distance.argmin(1)[near], minlength=8) / len(x)
    print(kind, near.mean(), shares)
    assert near.mean() > 0.9
    assert shares.min() > 0.05
    assert shares.max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_each_moon_comes_by_its_label(kind: str) -> None:
    """Exact Wasserstein distance to fresh points, beside that of fresh points to others."""
    generator = trained_on(two_moons, kind, 2)
    real, labels = two_moons(1000)
    other, others_labels = two_moons(1001)
    for moon in (0, 1):
        x = drawn(generator, torch.full((500,), moon))
        mine, fresh = real[labels == moon], other[others_labels == moon]
        floor = math.sqrt(ot.emd2([], [], ot.dist(mine, fresh)))
        distance = math.sqrt(ot.emd2([], [], ot.dist(mine, x)))
        print(kind, moon, distance, floor, math.sqrt(ot.emd2([], [], ot.dist(mine, real[labels != moon]))))
        assert distance < 3 * floor
