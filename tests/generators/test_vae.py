"""The VAE on real digits: classes, seeds, and the two terms of its bound."""

from __future__ import annotations

import pytest
import torch

from cl_bench.generators.vae import VAE, VAEOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec, TaskStream

CPU = torch.device("cpu")


def new(spec: StreamSpec, **options: object) -> VAE:
    with isolated(0, "generator"):
        return VAE(spec, VAEOptions(**options), CPU, Progress(quiet=True))  # type: ignore[arg-type]


def drawn(vae: VAE, labels: torch.Tensor) -> torch.Tensor:
    with isolated(0, "sample"):
        return vae.sample(labels)


@pytest.fixture(scope="module")
def trained(digits: TaskStream) -> VAE:
    vae = new(digits.spec, steps=300, learning_rate=2e-3, ema=0.98, width=16, latent=8)
    with isolated(0, "fit"):
        vae.fit(digits.tasks[0].train)
    return vae


def test_classes_look_like_themselves(trained: VAE, digits: TaskStream) -> None:
    y = torch.tensor([0, 1]).repeat(20)
    x = drawn(trained, y).float()
    means = torch.stack([digits.tasks[0].train.of((c,)).x.float().mean(0) for c in (0, 1)])
    nearest = (x[:, None] - means).square().flatten(2).sum(2).argmin(1)
    assert (nearest == y).float().mean() > 0.9
    assert x[y == 0].std(0).mean() > 5, "samples of a class differ"


def test_sample_i_is_the_same_in_any_company(trained: VAE) -> None:
    y = torch.tensor([0, 1]).repeat(5)
    assert (drawn(trained, y)[:3].int() - drawn(trained, y[:3]).int()).abs().max() <= 1
    assert drawn(trained, y[:0]).shape == (0, 1, 8, 8)


def test_the_bound_falls_with_the_error_and_rises_with_the_divergence(monkeypatch) -> None:
    vae = new(StreamSpec("image", (1, 2, 2), ("a",), 1))
    x = torch.zeros(3, 1, 2, 2)
    mean, log_variance = torch.full((3, 2), 0.5), torch.full((3, 2), -1.0)
    monkeypatch.setattr(vae, "forward", lambda x, y, epsilon: (x + 0.1, mean, log_variance))
    divergence = 2 * (0.5**2 + torch.tensor(-1.0).exp().item() - 1 + 1) / 2
    expected = torch.tensor(0.01).log().item() / 2 + divergence / 4
    assert vae.loss(x, torch.zeros(3).long(), torch.zeros(3, 2)).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 20, 12), (1, 8, 8)])
def test_every_image_size(shape: tuple[int, int, int]) -> None:
    vae = new(StreamSpec("image", shape, ("a", "b"), 1), steps=1, batch=2, width=8)
    with isolated(0, "fit"):
        vae.fit(Samples.real(torch.zeros(4, *shape, dtype=torch.uint8), torch.tensor([0, 1, 0, 1])))
    assert drawn(vae, torch.tensor([0, 1, 1])).shape == (3, *shape)
