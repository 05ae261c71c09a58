"""KID and MMD against closed forms, the kernels written out, and the packages that users know."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits

from cl_bench.metrics import kernel, pairwise
from cl_bench.metrics.kernel import kid, kid_full, median_bandwidth, mmd_rbf


@pytest.fixture
def sets() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(70, 5)), 1.2 * rng.normal(size=(50, 5)) + 0.3


def by_definition(x: np.ndarray, y: np.ndarray, k) -> float:
    """Pair by pair, in plain Python."""

    def within(a: np.ndarray) -> float:
        return float(np.mean([k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]))

    return within(x) + within(y) - 2 * float(np.mean([k(a, b) for a in x for b in y]))


def assert_mean(values: list[float], expected: float, relative_error: float | None = None) -> None:
    """Within five standard errors, of which `relative_error` bounds the size."""
    standard_error = np.std(values, ddof=1) / math.sqrt(len(values))
    if relative_error is not None:
        assert standard_error < relative_error * abs(expected)
    assert abs(np.mean(values) - expected) < 5 * standard_error


def spy(patched: pytest.MonkeyPatch, module, name: str) -> list[tuple]:
    """The two sets of each call of a function, which works as before."""
    function, calls = getattr(module, name), []

    def recorded(x, y, **options):
        calls.append((np.asarray(x), np.asarray(y)))
        return function(x, y, **options)

    patched.setattr(module, name, recorded)
    return calls


def test_kid_full_agrees_with_the_definition(sets: tuple[np.ndarray, np.ndarray]) -> None:
    expected = by_definition(*sets, lambda a, b: (a @ b / 5 + 1) ** 3)
    assert kid_full(*sets) == pytest.approx(expected, rel=1e-10)


def test_kid_is_zero_on_average_for_one_law_and_keeps_its_sign() -> None:
    rng = np.random.default_rng(1)
    values = [kid_full(rng.normal(size=(60, 4)) + 1, rng.normal(size=(40, 4)) + 1) for _ in range(400)]
    assert_mean(values, 0.0)
    assert np.mean(np.array(values) < 0) > 0.3


def test_kid_compares_three_moments() -> None:
    # In one dimension (xy + 1)³ = 1 + 3xy + 3x²y² + x³y³, so MMD² = 3Δ₁² + 3Δ₂² + Δ₃² in raw moments. For
    # N(0, 1) and N(μ, σ²) these differ by μ, μ² + σ² − 1 and μ³ + 3μσ².
    rng, μ, σ = np.random.default_rng(2), 0.5, 1.3
    expected = 3 * μ**2 + 3 * (μ**2 + σ**2 - 1) ** 2 + (μ**3 + 3 * μ * σ**2) ** 2
    values = [kid_full(rng.normal(size=(300, 1)), rng.normal(μ, σ, size=(200, 1))) for _ in range(400)]
    assert_mean(values, expected, relative_error=0.05)


def test_kid_over_one_subset_of_everything_is_kid_full(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets[0][:50], sets[1]
    result = kid(real, fake, subsets=3, subset_size=50)
    assert result.mean == pytest.approx(kid_full(real, fake), rel=1e-10)
    assert result.std == pytest.approx(0, abs=1e-12)


def test_kid_is_seeded_and_leaves_the_global_generators_alone(sets: tuple[np.ndarray, np.ndarray]) -> None:
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    first = kid(*sets, subsets=5, subset_size=20, seed=1)
    assert kid(*sets, subsets=5, subset_size=20, seed=1) == first
    assert kid(*sets, subsets=5, subset_size=20, seed=2) != first
    assert (np.random.get_state()[1] == before[0]).all()
    assert torch.equal(torch.get_rng_state(), before[1])


def test_kid_draws_the_documented_subsets_real_before_fake(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    random, values = np.random.RandomState(2020), []
    for _ in range(4):
        x = real[random.choice(len(real), 30, replace=False)]
        y = fake[random.choice(len(fake), 30, replace=False)]
        values.append(kid_full(x, y))
    result = kid(real, fake, subsets=4, subset_size=30)
    assert (result.mean, result.std) == (np.mean(values), np.std(values))


def test_kid_agrees_with_torch_fidelity_subset_by_subset(
    sets: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    digits = load_digits().data
    names = ("kernel_inception_distance_mean", "kernel_inception_distance_std")
    for real, fake, size in ((*sets, 30), (digits[:900], digits[900:], 200)):
        with monkeypatch.context() as patched:
            ours_drawn = spy(patched, kernel, "kid_full")
            theirs_drawn = spy(patched, theirs, "kernel_mmd")
            ours = kid(real, fake, subsets=6, subset_size=size)
            reference = theirs.kid_features_to_metric(
                torch.from_numpy(real),
                torch.from_numpy(fake),
                kid_subsets=6,
                kid_subset_size=size,
                verbose=False,
            )
        assert len(ours_drawn) == len(theirs_drawn) == 6
        for a, b in zip(ours_drawn, theirs_drawn, strict=True):
            assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
        assert [ours.mean, ours.std] == pytest.approx([reference[name] for name in names], rel=1e-9)


def test_kid_full_agrees_with_torchmetrics_on_digits() -> None:
    theirs = pytest.importorskip("torchmetrics.image.kid")
    x = torch.from_numpy(load_digits().data)
    real, fake = x[:800], x[800:1600]
    assert kid_full(real, fake) == pytest.approx(float(theirs.poly_mmd(real, fake)), rel=1e-10)


def test_mmd_has_its_closed_form_for_gaussians() -> None:
    # x − x′ ~ N(δ, 2I), and E exp(−z²/2s) = √(s/(s + 2)) exp(−δ²/(2(s + 2))) for z ~ N(δ, 2); in d dimensions
    # with means μ apart, MMD² = 2 (s/(s + 2))^{d/2} (1 − exp(−‖μ‖²/(2(s + 2)))).
    rng, d, s = np.random.default_rng(3), 3, 2.5
    for μ in (0.0, 0.8):
        expected = 2 * (s / (s + 2)) ** (d / 2) * (1 - math.exp(-d * μ**2 / (2 * (s + 2))))
        values = [
            mmd_rbf(rng.normal(size=(80, d)), rng.normal(μ, 1, size=(60, d)), bandwidth=s) for _ in range(400)
        ]
        assert_mean(values, expected, relative_error=0.05 if μ else None)


def test_mmd_agrees_with_the_definition(sets: tuple[np.ndarray, np.ndarray]) -> None:
    expected = by_definition(*sets, lambda a, b: math.exp(-np.square(a - b).sum() / (2 * 3.0)))
    assert mmd_rbf(*sets, bandwidth=3.0) == pytest.approx(expected, rel=1e-10)
    assert mmd_rbf(sets[0] + 1e6, sets[1] + 1e6, bandwidth=3.0) == pytest.approx(expected, rel=1e-6)


def test_mmd_agrees_with_torch_fidelity_on_digits() -> None:
    theirs = pytest.importorskip("torch_fidelity.metric_kid")
    x = load_digits().data
    real, fake = x[:600], x[600:1200]
    expected = theirs.kernel_mmd(real, fake, kid_kernel="rbf", kid_kernel_rbf_sigma=20.0)
    assert mmd_rbf(real, fake, bandwidth=400.0) == pytest.approx(expected, rel=1e-9)


def test_mmd_takes_its_bandwidth_from_the_real_set_only(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    bandwidth = float(np.median(pdist(real, "sqeuclidean")))
    assert median_bandwidth(real) == pytest.approx(bandwidth, rel=1e-12)
    assert mmd_rbf(real, 10 * fake) == mmd_rbf(real, 10 * fake, bandwidth=median_bandwidth(real))
    assert mmd_rbf(real, fake) != pytest.approx(mmd_rbf(fake, real))


def test_bandwidth_of_many_rows_is_of_evenly_spaced_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(4).normal(size=(90, 3))
    monkeypatch.setattr(kernel, "_MEDIAN_ROWS", 30)
    assert median_bandwidth(x) == pytest.approx(np.median(pdist(x[::3], "sqeuclidean")), rel=1e-12)


def test_values_are_finite_for_collapsed_sets(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, _ = sets
    constant = np.ones((20, 5))
    assert kid_full(constant, constant) == pytest.approx(0, abs=1e-12)
    assert kid_full(constant, 0 * constant) == pytest.approx(8 + 1 - 2)
    assert 0 < mmd_rbf(real, constant) < 2
    assert mmd_rbf(constant, constant, bandwidth=1.0) == pytest.approx(0, abs=1e-12)
    assert mmd_rbf(constant, constant + 1e3, bandwidth=1.0) == pytest.approx(2)


def test_invariances(sets: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = sets
    rng = np.random.default_rng(5)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    polynomial, gaussian = kid_full(real, fake), mmd_rbf(real, fake)
    assert kid_full(fake, real) == pytest.approx(polynomial, rel=1e-10)
    assert kid_full(rng.permutation(real), fake[::-1]) == pytest.approx(polynomial, rel=1e-10)
    assert kid_full(real @ rotation, fake @ rotation) == pytest.approx(polynomial, rel=1e-10)
    assert kid_full(torch.from_numpy(real), torch.from_numpy(fake)) == polynomial
    # Shift and scale do not matter to the RBF kernel, whose bandwidth scales along; they do to KID's.
    moved = [7 * x @ rotation - 4 for x in (real, fake)]
    assert mmd_rbf(*moved) == pytest.approx(gaussian, rel=1e-9)
    assert kid_full(*moved) != pytest.approx(polynomial, rel=0.1)
    monkeypatch.setattr(pairwise, "_BLOCK", 333)
    assert kid_full(real, fake) == pytest.approx(polynomial, rel=1e-10)
    assert mmd_rbf(real, fake) == pytest.approx(gaussian, rel=1e-10)


def test_refuses_what_has_no_pairs(sets: tuple[np.ndarray, np.ndarray]) -> None:
    real, fake = sets
    with pytest.raises(ValueError, match="70 real and 50 fake samples are too few for subsets of 1000"):
        kid(real, fake)
    with pytest.raises(ValueError, match="subsets ≥ 1 of size ≥ 2, got 100 of 1"):
        kid(real, fake, subset_size=1)
    with pytest.raises(ValueError, match="fake: 1 samples, need at least 2"):
        kid_full(real, fake[:1])
    with pytest.raises(ValueError, match="real: 1 samples"):
        mmd_rbf(real[:1], fake)
    with pytest.raises(ValueError, match="NaN"):
        kid_full(real, np.where(fake > 1, np.nan, fake))
    with pytest.raises(ValueError, match="the kernel overflows"):
        kid_full(real * 1e200, fake)
    with pytest.raises(ValueError, match="half of the real samples' distances are 0"):
        mmd_rbf(np.ones((20, 5)) / 3, fake)
    for bandwidth in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="bandwidth must be a positive number"):
            mmd_rbf(real, fake, bandwidth=bandwidth)
