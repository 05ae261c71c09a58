"""Whether the best of several lines is better than each of the others, or merely happened to come out on top.

Two-sided t-tests without the assumption of equal variances (B. L. Welch, Biometrika 34 (1947) 28–35) between
all pairs, with the correction of S. Holm, Scandinavian Journal of Statistics 6 (1979) 65–70. All pairs, not
only those of the best: which line is best is read off the same numbers, and only a correction over all pairs
covers a comparison that was chosen after looking. Seeds are not paired: strategies draw different random
numbers from one seed, so that pairs of runs share little, and a table need not have the same seeds in all
rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean, variance

LEAST_SEEDS = 3
LEVEL = 0.05
MARK = "†"


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, each corrected for there being all of them: with p₍₁₎ ≤ p₍₂₎ ≤ …, the i-th smallest of m
    becomes the largest of (m − j + 1) p₍ⱼ₎ over j ≤ i, at most 1."""
    m, highest = len(p_values), 0.0
    corrected = [0.0] * m
    for rank, i in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (m - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def pairwise(samples: Sequence[Sequence[float]]) -> dict[tuple[int, int], float]:
    """Corrected p-value of each pair (i, j), i < j, of `samples`; empty unless there are two or more, each of
    three values or more. A pair whose values do not vary at all has none to estimate an error from: its p
    is 1."""
    if len(samples) < 2 or min(map(len, samples)) < LEAST_SEEDS:
        return {}
    pairs = list(combinations(range(len(samples)), 2))
    p_values = holm([_welch(samples[i], samples[j]) for i, j in pairs])
    return dict(zip(pairs, p_values, strict=True))


def stands_out(best: int, samples: Sequence[Sequence[float]]) -> bool:
    """Whether `samples[best]` differs from every other at the level of 5 %."""
    found = [p for pair, p in pairwise(samples).items() if best in pair]
    return bool(found) and max(found) < LEVEL


def _welch(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p-value of equal means: t = (ā − b̄)/√(u + v), u = s²(a)/n(a), v = s²(b)/n(b), with
    (u + v)²/(u²/(n(a) − 1) + v²/(n(b) − 1)) degrees of freedom."""
    from scipy.special import stdtr

    u, v = variance(a) / len(a), variance(b) / len(b)
    if u + v == 0:
        return 1.0
    t = abs(fmean(a) - fmean(b)) / math.sqrt(u + v)
    freedom = (u + v) ** 2 / (u**2 / (len(a) - 1) + v**2 / (len(b) - 1))
    return float(2 * stdtr(freedom, -t))
