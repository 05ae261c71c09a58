"""Intervals by resampling: the mean's known spread, coverage, pairs and strata, and rows that are doubled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.metrics.interval import Method, bootstrap_interval, shares_interval, subsample_intervals

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


def moments(a: np.ndarray) -> dict[str, float]:
    return {"mean": float(a.mean()), "three": 3 * float(a.mean()), "none": float("nan")}


def test_several_statistics_have_their_standard_errors_at_once(x: np.ndarray) -> None:
    found = subsample_intervals(moments, [x], moments(x), resamples=2000)
    error = x.std(ddof=1) / np.sqrt(len(x))
    assert set(found) == {"mean", "three"}, "what is undefined has none"
    assert found["mean"].spread == pytest.approx(error, rel=5 / np.sqrt(4000))
    for name, factor in (("mean", 1), ("three", 3)):
        assert found[name].estimate == moments(x)[name]
        assert found[name].spread == pytest.approx(factor * found["mean"].spread)
        # Student's quantile of many degrees of freedom is the normal one.
        assert found[name].high - found[name].estimate == pytest.approx(1.961 * found[name].spread, rel=1e-3)
        assert found[name].estimate - found[name].low == pytest.approx(1.961 * found[name].spread, rel=1e-3)
    few = subsample_intervals(moments, [x], moments(x))["mean"]
    assert few.high - few.estimate == pytest.approx(2.0096 * few.spread, rel=1e-4)
    assert few == subsample_intervals(moments, [x], moments(x))["mean"]
    assert few != subsample_intervals(moments, [x], moments(x), seed=1)["mean"]


def test_a_statistic_undefined_on_a_subsample_has_no_interval(x: np.ndarray) -> None:
    def statistics(a: np.ndarray) -> dict[str, float]:
        return {"mean": float(a.mean()), "large": 1.0 if len(a) > 150 else float("nan")}

    assert set(subsample_intervals(statistics, [x], statistics(x))) == {"mean"}
    with pytest.raises(ValueError, match="fewer than two rows"):
        subsample_intervals(moments, [x[:1]], moments(x[:1]))


def test_intervals_of_the_frechet_distance_cover_its_closed_form() -> None:
    """N(0, 1) and N(1, 1) on the line, n a side: (m − m')² + (s − s')² is 1 + 2/n + 2(1 − c₄²) on average."""
    n, trials, rng = 60, 200, np.random.default_rng(7)
    c4 = np.sqrt(2 / (n - 1)) * np.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))
    expected = 1 + 2 / n + 2 * (1 - c4**2)

    def distance(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
        return {"fd": float((a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2)}

    sets = [(rng.normal(size=(n, 1)), rng.normal(1, 1, (n, 1))) for _ in range(trials)]
    assert distance(*sets[0])["fd"] == pytest.approx(frechet_distance(*sets[0]), rel=1e-9)
    intervals = [subsample_intervals(distance, pair, distance(*pair), seed=i) for i, pair in enumerate(sets)]
    covered = np.mean([found["fd"].low <= expected <= found["fd"].high for found in intervals])
    # 0.935 were measured in 2,000 trials: the distance is skewed, the interval symmetric.
    assert abs(covered - 0.935) < 4 * np.sqrt(0.95 * 0.05 / trials)
    estimates = [found["fd"].estimate for found in intervals]
    assert np.mean([found["fd"].spread for found in intervals]) == pytest.approx(np.std(estimates), rel=0.2)


def test_intervals_of_accuracies_cover_the_chance_of_a_hit() -> None:
    """The mean of two tasks' accuracies, 0.9 of 150 rows and 0.6 of 50."""
    trials, p, n, rng = 2000, np.array([0.9, 0.6]), [150, 50], np.random.default_rng(8)
    found = [shares_interval(rng.binomial(n, p).tolist(), n, resamples=999, seed=i) for i in range(trials)]
    covered = np.mean([one.low <= p.mean() <= one.high for one in found])
    assert 0.92 < covered < 0.97
    error = np.sqrt((p * (1 - p) / n).sum()) / 2
    assert np.mean([one.spread for one in found]) == pytest.approx(error, rel=0.05)
    assert np.mean([one.estimate for one in found]) == pytest.approx(p.mean(), abs=5 * error / trials**0.5)


def test_shares_are_resampled_as_their_rows_would_be() -> None:
    hits = np.repeat([1.0, 0.0], [70, 30])
    rows = bootstrap_interval(np.mean, [hits], resamples=4999)
    found = shares_interval([70], [100])
    assert (found.estimate, found.low, found.high) == pytest.approx((0.7, rows.low, rows.high), abs=0.01)
    assert found.spread == pytest.approx(rows.spread, rel=0.05)
    certain = shares_interval([9], [9])
    assert (certain.low, certain.high) == (1, 1)
    with pytest.raises(ValueError, match=r"got \[3\] of \[2\]"):
        shares_interval([3], [2])
    with pytest.raises(ValueError, match="at least one row"):
        shares_interval([0], [0])
