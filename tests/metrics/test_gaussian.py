"""Closed forms of the Gaussian distance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from scipy.stats import ortho_group
from sklearn.datasets import load_digits

from cl_bench.metrics import gaussian
from cl_bench.metrics.gaussian import (
    GaussianFit,
    distance_matrix,
    distance_to,
    extrapolated_distance,
    fit,
    fit_batches,
    frechet_distance,
    squared_distance,
)


def by_matrix_root(x: np.ndarray, y: np.ndarray) -> float:
    s, t = np.cov(x.T), np.cov(y.T)
    root = linalg.sqrtm(s @ t).real
    return float(np.square(x.mean(0) - y.mean(0)).sum() + np.trace(s + t - 2 * root))


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, 8)) @ np.random.default_rng(1).normal(size=(8, 8))


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(200, 8)) + 0.3


@pytest.fixture(params=["singular values", "Gram matrix"])
def either_way(request, monkeypatch) -> None:
    """Small products, by the way of small products and by that of large ones."""
    if request.param == "Gram matrix":
        monkeypatch.setattr(gaussian, "GRAM_FROM", 0)


@pytest.mark.usefixtures("either_way")
class TestClosedForms:
    def test_translation_costs_its_squared_length(self, x: np.ndarray) -> None:
        c = np.arange(8.0)
        assert frechet_distance(x, x + c) == pytest.approx(c @ c, rel=1e-9)

    def test_scaling_about_the_mean_costs_the_variance(self, x: np.ndarray) -> None:
        mean = x.mean(0)
        expected = (1 - 1.7) ** 2 * x.var(0, ddof=1).sum()
        assert frechet_distance(x, mean + 1.7 * (x - mean)) == pytest.approx(expected, rel=1e-9)

    def test_symmetric(self, x: np.ndarray) -> None:
        a, b = fit(x), fit(x[:50] * 2)
        assert squared_distance(a, b) == pytest.approx(squared_distance(b, a), rel=1e-12)

    def test_order_of_samples_and_of_features_is_nothing(self, x: np.ndarray, y: np.ndarray) -> None:
        rng = np.random.default_rng(5)
        columns = rng.permutation(8)
        moved = frechet_distance(rng.permutation(x)[:, columns], rng.permutation(y)[:, columns])
        assert moved == pytest.approx(frechet_distance(x, y), rel=1e-11)

    def test_isometries_change_nothing_and_units_enter_squared(self, x: np.ndarray, y: np.ndarray) -> None:
        turn = ortho_group.rvs(8, random_state=0)
        expected = frechet_distance(x, y)
        assert frechet_distance(x @ turn + 7, y @ turn + 7) == pytest.approx(expected, rel=1e-10)
        assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * expected, rel=1e-11)

    def test_diagonal_covariances_cost_the_standard_deviations(self) -> None:
        rng = np.random.default_rng(6)
        s, t, m = rng.uniform(0.1, 3, 20), rng.uniform(0.1, 3, 20), rng.normal(size=20)
        a, b = GaussianFit(np.zeros(20), np.diag(s)), GaussianFit(m, np.diag(t))
        assert squared_distance(a, b) == pytest.approx(m @ m + ((s - t) ** 2).sum(), rel=1e-11)

    def test_equal_covariances_cost_the_means(self) -> None:
        rng = np.random.default_rng(7)
        factor, m = rng.normal(size=(30, 12)), rng.normal(size=12)
        other = ortho_group.rvs(30, random_state=0) @ factor
        distance = squared_distance(GaussianFit(np.zeros(12), factor), GaussianFit(m, other))
        assert distance == pytest.approx(m @ m, rel=1e-9)

    def test_agrees_with_the_matrix_root_where_that_is_well_posed(self, x: np.ndarray, y: np.ndarray) -> None:
        assert frechet_distance(x, y) == pytest.approx(by_matrix_root(x, y), rel=1e-8)

    def test_fewer_samples_than_dimensions_is_exact(self) -> None:
        rng = np.random.default_rng(3)
        x = rng.normal(size=(10, 64))
        c = rng.normal(size=64)
        assert frechet_distance(x, x + c) == pytest.approx(c @ c, rel=1e-9)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
        # Orthogonal subspaces share nothing: the variances add up.
        x, y = np.eye(64)[:10] * 3, np.eye(64)[32:47]
        variances = x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum()
        means = np.square(x.mean(0) - y.mean(0)).sum()
        assert frechet_distance(x, y) == pytest.approx(means + variances, rel=1e-12)

    @pytest.mark.parametrize("n", [8, 9, 10, 2, 3])
    def test_a_factor_gives_the_covariance_at_every_size(self, x: np.ndarray, n: int) -> None:
        few = fit(x[:n])
        assert few.factor.T @ few.factor == pytest.approx(np.cov(x[:n].T), rel=1e-10, abs=1e-12)
        assert len(few.factor) == min(n - 1, 8)

    def test_collapsed_duplicate_and_flat_sets_are_finite(self, x: np.ndarray) -> None:
        collapsed, twice = np.tile(x[0], (50, 1)), np.repeat(x[:3], 40, 0)
        flat = x * np.array([1.0, 1, 1, 0, 0, 0, 0, 0])
        expected = np.square(x.mean(0) - x[0]).sum() + x.var(0, ddof=1).sum()
        assert frechet_distance(x, collapsed) == pytest.approx(expected, rel=1e-12)
        assert frechet_distance(collapsed, collapsed) == 0
        assert frechet_distance(collapsed, collapsed + 1) == pytest.approx(8, rel=1e-12)
        for degenerate in (twice, flat):
            assert frechet_distance(degenerate, degenerate) == pytest.approx(0, abs=1e-12)
            assert frechet_distance(degenerate, degenerate + 1) == pytest.approx(8, rel=1e-9)
            assert 0 < frechet_distance(x, degenerate) < np.inf

    def test_bias_for_standard_normals_is_the_known_one(self) -> None:
        # E = (1/n + 1/m)(d + d(d+1)/4) to first order for equal N(0, I).
        rng, d, n, m = np.random.default_rng(4), 16, 2000, 1000
        values = [frechet_distance(rng.normal(size=(n, d)), rng.normal(size=(m, d))) for _ in range(20)]
        expected = (1 / n + 1 / m) * (d + d * (d + 1) / 4)
        standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 5 * standard_error

    def test_tensors_and_arrays_give_the_same(self, x: np.ndarray, y: np.ndarray) -> None:
        tensors = torch.tensor(x), torch.tensor(y, requires_grad=True)
        assert frechet_distance(*tensors) == pytest.approx(frechet_distance(x, y), rel=1e-11)
        few = (torch.tensor(x[:5]), torch.tensor(y[:6]))
        assert frechet_distance(*few) == pytest.approx(frechet_distance(x[:5], y[:6]), rel=1e-11)
        assert isinstance(fit(tensors[0]).factor, torch.Tensor)


def test_the_quick_way_is_exact_wherever_it_is_used(monkeypatch) -> None:
    rng = np.random.default_rng(8)
    d = 64
    spectrum = np.arange(1, d + 1.0)
    sets = [rng.normal(size=(200, d)) * spectrum**-power for power in (0, 1, 3, 6)]
    sets += [rng.normal(size=(40, d)), sets[0] * (spectrum < 20), sets[0] * 10.0 ** -spectrum.clip(max=12)]
    fits = [fit(x) for x in sets]
    exact = distance_matrix(fits, list(fits))
    monkeypatch.setattr(gaussian, "GRAM_FROM", 0)
    scale = np.add.outer(*2 * [[f.total_variance for f in fits]])
    quick = distance_matrix(fits, list(fits))
    from_samples = np.array([[distance_to(p, x) for x in sets] for p in fits])
    for result in (quick, from_samples):
        # The bound is the worst case, so that what passes it is far better than it demands.
        assert (np.abs(result - exact) <= 1e-3 * gaussian.TOLERANCE * scale).all()


def test_where_the_quick_way_loses_digits_it_is_not_used(monkeypatch) -> None:
    monkeypatch.setattr(gaussian, "GRAM_FROM", 0)
    # One large singular value and 59 that are lost in its square's rounding.
    turn, values = ortho_group.rvs(60, random_state=0), np.array([1.0] + [1e-9] * 59)
    for matrix in ((turn * values) @ turn, torch.from_numpy((turn * values) @ turn)):
        careful, careless = (
            float(gaussian._nuclear_norms(matrix[None], allowed)[0]) for allowed in (1e-12, np.inf)
        )
        assert careful == pytest.approx(values.sum(), abs=1e-13)
        assert abs(careless - values.sum()) > 1e-8


def test_the_quick_way_is_used_on_well_conditioned_sets(monkeypatch) -> None:
    monkeypatch.setattr(gaussian, "GRAM_FROM", 0)
    monkeypatch.setattr(np.linalg, "svdvals", None)
    rng = np.random.default_rng(9)
    spread = np.arange(1, 101) ** -0.5
    a, b = (fit(rng.normal(size=(n, 100)) * spread) for n in (250, 300))
    assert squared_distance(a, b) > 0
    # n < d: the one direction that centring would make null is left out of the factor.
    assert frechet_distance(rng.normal(size=(50, 400)), rng.normal(size=(50, 400))) > 0
    # With a reference fitted before, not even the new set is factorised.
    monkeypatch.setattr(np.linalg, "qr", None)
    assert distance_to(a, rng.normal(size=(300, 100)) * spread) > 0


@pytest.mark.parametrize(("n", "d"), [(500, 12), (30, 40), (41, 40), (7, 2)])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_give_what_the_whole_gives_whatever_the_offset(n: int, d: int, batch: int) -> None:
    rng = np.random.default_rng(10)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 2, d) + 1e6
    whole, streamed = fit(x), fit_batches(x[i : i + batch] for i in range(0, n, batch))
    assert streamed.mean == pytest.approx(whole.mean, rel=1e-14)
    # Features at 1e6 are themselves rounded to 1e-10.
    covariance = np.cov((x - 1e6).T)
    assert streamed.factor.T @ streamed.factor == pytest.approx(covariance, abs=1e-8)
    assert len(streamed.factor) <= min(n, d)
    y = rng.normal(size=(100, d)) + 1e6
    assert squared_distance(streamed, fit(y)) == pytest.approx(frechet_distance(x - 1e6, y - 1e6), rel=1e-7)
    tensors = fit_batches(torch.from_numpy(x).split(batch))
    assert tensors.factor.T @ tensors.factor == pytest.approx(covariance, abs=1e-8)


def test_the_matrix_holds_each_pair() -> None:
    rng = np.random.default_rng(11)
    sizes = (5, 9, 9, 40, 1, 12)
    a = [fit(rng.normal(size=(n, 6)) * rng.uniform(0.5, 2) + rng.normal(size=6)) for n in sizes]
    b = [fit(rng.normal(size=(n, 6))) for n in (3, 9, 30)]
    matrix = distance_matrix(a, b)
    assert matrix == pytest.approx(np.array([[squared_distance(p, q) for q in b] for p in a]), rel=1e-11)
    within = distance_matrix(a, a)
    assert within == pytest.approx(distance_matrix(a, list(a)), rel=1e-10, abs=1e-10)
    assert (within == within.T).all()
    assert not within.diagonal().any()
    tensors = [
        [GaussianFit(torch.from_numpy(f.mean), torch.from_numpy(f.factor)) for f in side] for side in (a, b)
    ]
    assert distance_matrix(*tensors) == pytest.approx(matrix, rel=1e-11)
    assert distance_matrix([], b).shape == (0, 3)


def test_samples_without_end_leave_no_bias() -> None:
    rng, d = np.random.default_rng(12), 8
    truth = GaussianFit(np.zeros(d), np.eye(d))
    finite, endless = [], []
    for seed in range(20):
        x = rng.normal(size=(1000, d))
        finite.append(squared_distance(truth, fit(x)))
        endless.append(extrapolated_distance(truth, x, points=8, seed=seed))
    # The one-sided bias, d/n + d(d+1)/(4n), is what the extrapolation takes away.
    bias = (d + d * (d + 1) / 4) / 1000
    for values, expected in ((finite, bias), (endless, 0.0)):
        assert abs(np.mean(values) - expected) < 5 * np.std(values, ddof=1) / np.sqrt(20)
    assert abs(np.mean(endless)) < bias / 3


@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_halves_of_real_digits_are_close_and_their_negatives_far() -> None:
    x = load_digits().data / 16
    first, second = x[::2], x[1::2]
    value = frechet_distance(first, second)
    assert 0 < value < 0.05 * fit(x).total_variance
    assert frechet_distance(first, 1 - second) > 20 * value
    # Pixels that are always dark leave the matrix root ill-posed: it loses half of its digits.
    assert value == pytest.approx(by_matrix_root(first, second), abs=1e-5)


@pytest.mark.slow  # importing torchmetrics takes ten seconds
@pytest.mark.parametrize("d", [64, 40])
def test_agrees_with_torchmetrics_on_real_digits(d: int) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    x = load_digits().data / 16
    halves = x[::2, :d], x[1::2, :d] + 0.1
    statistics = [torch.from_numpy(s) for h in halves for s in (h.mean(0), np.cov(h.T))]
    assert frechet_distance(*halves) == pytest.approx(float(fid._compute_fid(*statistics)), abs=1e-5)


@pytest.mark.parametrize(
    "bad",
    [np.empty((0, 3)), np.zeros(3), np.array([[np.nan, 0.0]]), np.array([[np.inf, 0]]), np.empty((3, 0))],
)
def test_refuses_what_has_no_gaussian(bad: np.ndarray) -> None:
    for array in (bad, torch.from_numpy(bad)):
        for attempt in (fit, lambda x: fit_batches([x]), lambda x: frechet_distance(x, np.zeros((2, 3)))):
            with pytest.raises(ValueError, match=r"expected samples|NaN"):
                attempt(array)


def test_refuses_what_has_no_distance(monkeypatch) -> None:
    x = np.eye(3)
    with pytest.raises(ValueError, match="different dimensions have no distance: 3, 4"):
        frechet_distance(x, np.eye(4))
    monkeypatch.setattr(gaussian, "GRAM_FROM", 0)
    with pytest.raises(ValueError, match="different dimensions have no distance: 3, 4"):
        distance_to(fit(x), np.ones((9, 4)))
    with pytest.raises(ValueError, match="different arrays have no distance: Tensor on cpu, ndarray on cpu"):
        frechet_distance(x, torch.eye(3))
    with pytest.raises(ValueError, match="two samples on each side, got 3 and 1"):
        frechet_distance(x, x[:1])
    # A label with a single sample still has a law.
    assert squared_distance(fit(np.zeros((5, 3))), fit(np.ones((1, 3)))) == pytest.approx(3)
    with pytest.raises(ValueError, match="no batch"):
        fit_batches([])
    with pytest.raises(ValueError, match="batches have 3 and 4 dimensions"):
        fit_batches([x, np.eye(4)])
    with pytest.raises(ValueError, match="20 samples"):
        extrapolated_distance(fit(x), x)
