"""The test behind the mark † against SciPy, a closed form, and its own promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from cl_bench.reports.significance import LEVEL, holm, pairwise, stands_out


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 · 0.01, 2 · 0.03, and 1 · 0.04, which may not fall below what came before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_two_lines_are_one_welch_test() -> None:
    draw = np.random.default_rng(0)
    for a, b in ((3, 3), (3, 7), (10, 4)):
        ours, theirs = draw.normal(0, 1, a).tolist(), draw.normal(1, 3, b).tolist()
        expected = ttest_ind(ours, theirs, equal_var=False).pvalue
        assert pairwise([ours, theirs])[0, 1] == pytest.approx(expected, rel=1e-12)


def test_three_pairs_are_corrected() -> None:
    draw = np.random.default_rng(1)
    samples = [draw.normal(mean, 1, 5).tolist() for mean in (0, 1, 3)]
    raw = [ttest_ind(samples[i], samples[j], equal_var=False).pvalue for i, j in ((0, 1), (0, 2), (1, 2))]
    assert list(pairwise(samples).values()) == pytest.approx(holm(raw))


def test_too_few_seeds_give_no_test() -> None:
    assert pairwise([[1.0, 2.0, 3.0], [1.0, 2.0]]) == {}
    assert pairwise([[1.0, 2.0, 3.0]]) == {}
    assert not stands_out(0, [[9.0, 9.1, 9.2], [1.0, 1.1]])


def test_numbers_that_do_not_vary_prove_nothing() -> None:
    assert pairwise([[1.0] * 3, [2.0] * 3])[0, 1] == 1.0
    assert stands_out(0, [[1.0, 1.001, 0.999], [2.0] * 3]), "one that varies is enough"


def test_the_best_must_differ_from_each_other_line() -> None:
    first, second, third = [10.0, 10.1, 9.9], [10.0, 10.2, 9.7], [1.0, 1.1, 0.9]
    assert stands_out(0, [first, third])
    assert not stands_out(0, [first, second, third])


def test_the_best_of_equals_is_rarely_marked() -> None:
    """The promise: where five strategies are alike, in at most 5 % of tables the best one is marked."""
    draw = np.random.default_rng(2)
    trials = 400
    marked = 0
    for _ in range(trials):
        samples = draw.normal(size=(5, 4)).tolist()
        best = int(np.argmax(np.mean(samples, axis=1)))
        marked += stands_out(best, samples)
    assert marked <= trials * LEVEL + 5 * (trials * LEVEL * (1 - LEVEL)) ** 0.5


def test_a_large_difference_is_found() -> None:
    draw = np.random.default_rng(3)
    found = sum(
        stands_out(0, [draw.normal(8, 1, 5).tolist(), *draw.normal(size=(3, 5)).tolist()]) for _ in range(100)
    )
    assert found > 90
