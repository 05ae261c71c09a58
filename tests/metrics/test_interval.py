"""Intervals by resampling: the mean's known spread, coverage, pairs and strata, and rows that are doubled."""

from __future__ import annotations

import numpy as np
import pytest

from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.metrics.interval import Method, bootstrap_interval

METHODS: tuple[Method, ...] = ("percentile", "bca", "subsample")


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, size=200)


@pytest.mark.parametrize("method", METHODS)
def test_the_mean_has_its_standard_error(x: np.ndarray, method: Method) -> None:
    resamples = 2000
    found = bootstrap_interval(np.mean, [x], resamples=resamples, method=method)
    ddof = 1 if method == "subsample" else 0
    error = x.std(ddof=ddof) / np.sqrt(len(x))
    assert found.estimate == x.mean()
    assert found.spread == pytest.approx(error, rel=5 / np.sqrt(2 * resamples))
    # The density of a quantile's error at 1.96 makes it about 3 / √resamples standard errors.
    assert found.low == pytest.approx(x.mean() - 1.96 * error, abs=error * 15 / np.sqrt(resamples))
    assert found.high == pytest.approx(x.mean() + 1.96 * error, abs=error * 15 / np.sqrt(resamples))


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_subsamples_of_any_share_are_rescaled_to_the_same_spread(x: np.ndarray, share: float) -> None:
    found = bootstrap_interval(np.mean, [x], resamples=2000, method="subsample", share=share)
    assert found.spread == pytest.approx(x.std(ddof=1) / np.sqrt(len(x)), rel=5 / np.sqrt(4000))


@pytest.mark.parametrize("method", ["percentile", "subsample"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_of_the_mean_cover_it_as_often_as_they_say(method: Method, level: float) -> None:
    rng, trials, n = np.random.default_rng(1), 300, 60
    covered = 0
    for trial in range(trials):
        found = bootstrap_interval(
            np.mean,
            [rng.normal(size=n)],
            level=level,
            resamples=99,
            seed=trial,
            method=method,
        )
        covered += found.low <= 0 <= found.high
    # Quantiles of 99 values and the normal in place of Student's law cost about a hundredth.
    assert abs(covered / trials - level + 0.01) < 4 * np.sqrt(level * (1 - level) / trials)


def test_bca_is_shifted_for_a_skewed_statistic() -> None:
    z = np.random.default_rng(2).exponential(size=50)
    plain = bootstrap_interval(np.mean, [z], resamples=2000)
    bca = bootstrap_interval(np.mean, [z], resamples=2000, method="bca")
    assert bca.low > plain.low
    assert bca.high > plain.high


def test_too_high_an_estimate_has_its_interval_below() -> None:
    # A statistic skewed to the right: deviations upwards are large, so the interval reaches further down.
    z = np.random.default_rng(3).exponential(size=60)
    found = bootstrap_interval(lambda a: np.exp(a.mean()), [z], resamples=2000, method="subsample")
    assert found.estimate - found.low > found.high - found.estimate


@pytest.mark.parametrize("method", METHODS)
def test_rows_stay_paired_and_samples_apart(method: Method) -> None:
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(30, 2)), rng.normal(size=(20, 2)) + 100

    def statistic(a: np.ndarray, doubled: np.ndarray, b: np.ndarray) -> float:
        assert np.array_equal(2 * a, doubled)
        assert (a < 50).all()
        assert (b > 50).all()
        assert a.shape[1] == b.shape[1] == 2
        return float(a.mean() - b.mean())

    found = bootstrap_interval(statistic, [(x, 2 * x), z], resamples=20, method=method)
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("method", METHODS)
def test_strata_keep_their_shares(method: Method) -> None:
    y = np.repeat([0, 1, 2], [20, 6, 2])
    z = y * 10.0 + np.random.default_rng(5).normal(size=len(y))

    def statistic(values: np.ndarray, labels: np.ndarray) -> float:
        counts = np.bincount(labels)
        assert len(counts) == 3
        # All of a bootstrap sample, half of each class of a subsample, all but one for the jackknife of BCa.
        assert counts.tolist() in ([20, 6, 2], [10, 3, 1]) or counts.sum() == len(y) - 1
        return float(values.mean())

    found = bootstrap_interval(statistic, [(z, y)], resamples=50, method=method, strata=[y])
    free = bootstrap_interval(np.mean, [z], resamples=50, method=method)
    # What lies between the classes no longer varies.
    assert found.spread < 0.5 * free.spread


def test_the_same_seed_gives_the_same_interval(x: np.ndarray) -> None:
    for method in METHODS:
        runs = [bootstrap_interval(np.median, [x], 0.9, 50, seed, method) for seed in (0, 0, 1)]
        assert runs[0] == runs[1] != runs[2]


def test_doubled_rows_make_distances_too_large_and_halves_do_not() -> None:
    rng = np.random.default_rng(6)
    sets = [rng.normal(size=(150, 8)), rng.normal(size=(150, 8))]
    doubled = bootstrap_interval(frechet_distance, sets, resamples=200)
    halves = bootstrap_interval(frechet_distance, sets, resamples=200, method="subsample")
    # (1/n + 1/m)(d + d(d+1)/4) to first order.
    expected = 2 / 150 * (8 + 8 * 9 / 4)
    assert doubled.low > max(doubled.estimate, expected)
    assert halves.low < expected < halves.high
    assert halves.low < halves.estimate < halves.high


@pytest.mark.parametrize("method", METHODS)
def test_a_statistic_that_never_moves_has_an_interval_of_no_width(method: Method) -> None:
    found = bootstrap_interval(np.mean, [np.ones(9)], resamples=20, method=method)
    assert (found.low, found.estimate, found.high, found.spread) == (1, 1, 1, 0)


def test_degenerate_input_is_refused(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match="sample 1 has fewer than two rows"):
        bootstrap_interval(np.mean, [x, x[:1]])
    with pytest.raises(ValueError, match="or a stratum of it has"):
        bootstrap_interval(np.mean, [x], strata=[np.arange(200)])
    with pytest.raises(ValueError, match="differ in length"):
        bootstrap_interval(np.mean, [(x, x[1:])])
    with pytest.raises(ValueError, match="strata for each of 1 samples, got 2"):
        bootstrap_interval(np.mean, [x], strata=[x, x])
    with pytest.raises(ValueError, match="is nan on a sample or resample"):
        bootstrap_interval(np.mean, [x * np.nan])
    with pytest.raises(ValueError, match="between 0 and 1"):
        bootstrap_interval(np.mean, [x], level=95)
    with pytest.raises(ValueError, match="known: percentile, bca, subsample"):
        bootstrap_interval(np.mean, [x], method="basic")  # type: ignore[arg-type]
