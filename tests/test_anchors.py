"""Anchors against closed forms: distance, affine transport, and the choice among candidates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cl_bench import state
from cl_bench.anchors import Anchor, _Embedding
from cl_bench.metrics import gaussian

D = 6


def draw(n: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    """Gaussian features with standard deviations 1, ½, ⅓ …, in a rotated basis."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(9)).double()).Q
    deviations = 1 / torch.arange(1, D + 1, dtype=torch.float64)
    return scale * torch.randn(n, D, generator=generator).double() * deviations @ basis + shift


REAL = draw(400, 0)


def test_distance_at_full_rank_is_that_of_the_fitted_gaussians() -> None:
    other = draw(300, 1, scale=0.7, shift=0.2)
    expected = gaussian.frechet_distance(REAL.numpy(), other.numpy())
    assert Anchor.of(REAL, D).distance(other) == pytest.approx(expected, rel=2e-3), "float16 factors"
    assert Anchor.of(REAL, D).distance(REAL) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("rank", [1, 3, D])
def test_scaling_and_shifting_cost_what_they_must(rank: int) -> None:
    # N(μ, Σ) to N(μ + s, a²Σ): ‖s‖² + (1 − a)² tr Σ, whatever the anchor leaves out of Σ's shape.
    mean, trace = REAL.mean(0), float(REAL.var(0).sum())
    moved = mean + 0.5 * (REAL - mean) + 0.1
    found = Anchor.of(REAL, rank).distance(moved)
    assert found == pytest.approx(D * 0.01 + 0.25 * trace, rel=2e-3)


def test_an_anchor_keeps_the_leading_directions_and_the_variance_of_the_rest() -> None:
    anchor = Anchor.of(REAL, 2)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(REAL.T)).flip(0)
    assert anchor.values == pytest.approx(eigenvalues[:2], rel=1e-3)
    assert float(anchor.rest) == pytest.approx(float(eigenvalues[2:].mean()), rel=1e-6)
    assert torch.allclose(anchor.axes @ anchor.axes.T, torch.eye(2).double(), atol=1e-12)
    kept = sum(value.nbytes for value in anchor.state_dict().values())
    assert kept == 4 * D + 2 * 2 * D + 4


def test_transport_gives_any_set_the_anchors_moments() -> None:
    anchor = Anchor.of(REAL, D)
    mixing = torch.eye(D) + 0.2 * torch.randn(D, D, generator=torch.Generator().manual_seed(3))
    skewed = draw(500, 2) @ mixing.double() + 3
    moved = anchor.transport(skewed)
    assert anchor.distance(skewed) > 5
    assert anchor.distance(moved) < 1e-3
    assert torch.allclose(torch.cov(moved.T), torch.cov(REAL.T), atol=5e-3)
    # The optimal map is symmetric positive definite: it rotates nothing.
    found = torch.linalg.lstsq(skewed - skewed.mean(0), moved - moved.mean(0)).solution
    assert torch.allclose(found, found.T, atol=1e-8)
    assert torch.linalg.eigvalsh((found + found.T) / 2).min() > 0


def test_transport_between_scaled_gaussians_is_the_scale() -> None:
    anchor = Anchor.of(REAL, D)
    mean = REAL.mean(0)
    shrunk = mean + 0.5 * (REAL - mean)
    assert (anchor.transport(shrunk) - REAL).abs().max() < 0.02, "doubled again"
    assert (anchor.transport(REAL) - REAL).abs().max() < 0.01, "nothing to do"


def test_transport_at_low_rank_leaves_the_other_directions_their_shape() -> None:
    anchor = Anchor.of(REAL, 2)
    moved = anchor.transport(draw(500, 4, scale=0.5, shift=1.0))
    assert anchor.distance(moved) < 1e-3
    assert float(moved.var(0).sum()) == pytest.approx(float(REAL.var(0).sum()), rel=0.01)


@pytest.mark.parametrize("rank", [2, D])
def test_choosing_falls_towards_the_floor(rank: int) -> None:
    """Candidates that have drifted, narrower and shifted: chosen sets are closer than random ones, and ever
    closer the more there is to choose from; without drift they beat sampling noise."""
    anchor, n = Anchor.of(REAL, rank), 60
    drifted = draw(16 * n, 5, scale=0.8, shift=0.15)
    distances = [anchor.distance(drifted[: k * n][anchor.choose(drifted[: k * n], n)]) for k in (1, 2, 4, 16)]
    assert anchor.distance(drifted[:n]) == distances[0]
    assert distances[0] > 2 * distances[1] > 4 * distances[2]
    assert distances[3] < 0.05 * distances[0]
    fresh = draw(4 * n, 6)
    floor = anchor.distance(draw(n, 7))
    assert anchor.distance(fresh[anchor.choose(fresh, n)]) < 0.1 * floor


def test_choosing_by_density_alone_would_take_the_variance_away() -> None:
    """Why the choice has a covariance term."""
    anchor, n = Anchor.of(REAL, D), 60
    candidates = draw(4 * n, 8)
    probable = candidates[anchor.log_density(candidates).topk(n).indices]
    chosen = candidates[anchor.choose(candidates, n)]
    total = float(REAL.var(0).sum())
    assert float(probable.var(0).sum()) < 0.5 * total
    assert float(chosen.var(0).sum()) == pytest.approx(total, rel=0.05)
    assert anchor.distance(probable) > 10 * anchor.distance(chosen)


def test_the_choice_is_a_set_in_the_order_drawn() -> None:
    anchor, candidates = Anchor.of(REAL, 3), draw(80, 10)
    index = anchor.choose(candidates, 20)
    assert index.tolist() == sorted(set(index.tolist()))
    assert len(index) == 20
    assert torch.equal(index, anchor.choose(candidates, 20))
    assert anchor.choose(candidates, 80).tolist() == list(range(80))
    assert anchor.choose(candidates, 0).tolist() == []


def test_no_single_swap_improves_the_choice() -> None:
    """The kernel's algebra, against the objective written out."""
    rank, n = 3, 8
    anchor, candidates = Anchor.of(REAL, rank), draw(24, 11, scale=0.7)
    values, axes = anchor.values, anchor.axes
    padded = values + anchor.ridge

    def objective(index: list[int]) -> float:
        delta = candidates[index] - anchor.mean.double()
        z = delta @ axes.T
        second = (z.T @ z / n - values.diag()) / padded[:, None] ** 0.25 / padded**0.25
        outside, target = (
            (delta.square().sum(1) - z.square().sum(1)).mean(),
            (D - rank) * anchor.rest.double(),
        )
        off = (outside - target) ** 2 / (4 * target)
        return float(delta.mean(0).square().sum() + second.square().sum() / 4 + off)

    chosen = anchor.choose(candidates, n).tolist()
    best = objective(chosen)
    assert best < objective(list(range(n)))
    others = [i for i in range(len(candidates)) if i not in chosen]
    swaps = [objective([j if i == a else i for i in chosen]) for a in chosen for j in others]
    assert min(swaps) >= best - 1e-12
    # Both forms differ by what no choice changes.
    embedding = _Embedding(anchor, candidates)

    def by_kernel(index: list[int]) -> float:
        mask = torch.zeros(len(candidates), dtype=torch.bool)
        mask[index] = True
        pairs = embedding.sums(mask)[mask].sum() / n**2
        return float(pairs - 2 * embedding.pull[mask].mean())

    first = list(range(n))
    assert by_kernel(chosen) - by_kernel(first) == pytest.approx(best - objective(first), rel=1e-9)


def test_log_density_is_that_of_a_gaussian() -> None:
    anchor = Anchor.of(REAL, D)
    x = draw(50, 12).requires_grad_()
    true = torch.distributions.MultivariateNormal(REAL.mean(0), torch.cov(REAL.T))
    difference = (anchor.log_density(x) - true.log_prob(x)).detach()
    assert float((difference - difference.mean()).abs().max()) < 0.1
    (gradient,) = torch.autograd.grad(anchor.log_density(x).sum(), x)
    (expected,) = torch.autograd.grad(true.log_prob(x).sum(), x)
    assert torch.nn.functional.cosine_similarity(gradient, expected).min() > 0.99


def test_effective_share_in_closed_form() -> None:
    """Weights from N(0, 1) to N(0, a²), a² = ½: (E w)² / E w² = √(2/a² − 1) a² = 0.866 in one dimension."""
    x = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)).double()
    anchor = Anchor(torch.zeros(1), torch.tensor([[math.sqrt(0.5)]]), torch.zeros(()))
    assert anchor.effective_share(x) == pytest.approx(math.sqrt(3) * 0.5, rel=0.02)
    assert Anchor.of(x, 1).effective_share(x) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("features", [torch.zeros(5, 3), torch.ones(1, 3), torch.randn(2, 3)])
def test_few_or_equal_samples_stay_finite(features: Tensor) -> None:
    anchor = Anchor.of(features, 3)
    candidates = torch.randn(40, 3, generator=torch.Generator().manual_seed(1))
    assert anchor.rank <= 1
    assert bool(anchor.transport(candidates).isfinite().all())
    assert len(anchor.choose(candidates, 10)) == 10
    assert math.isfinite(anchor.distance(candidates))
    assert bool(anchor.log_density(candidates).isfinite().all())
    assert 0 < anchor.effective_share(candidates) <= 1 + 1e-9


def test_an_anchor_survives_the_disk(tmp_path) -> None:
    anchor, x = Anchor.of(REAL, 3), draw(40, 13)
    state.save(tmp_path / "anchor.safetensors", anchor.state_dict())
    again = Anchor(**state.load(tmp_path / "anchor.safetensors"))
    assert torch.equal(again.transport(x), anchor.transport(x))
    assert torch.equal(again.choose(x, 10), anchor.choose(x, 10))
