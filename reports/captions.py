"""What a number needs beside it: n, extractor, estimator, and how to read arrows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cl_bench.reports.over_seeds import Best
from cl_bench.reports.significance import LEAST_SEEDS, MARK
from cl_bench.rows import ENDS

ARROWS = "↑ higher is better, ↓ lower is better."
SEEDS = "Mean ± sample standard deviation over seeds (n − 1); no ± with one seed."
OF_ONE = ", where there is one seed"

# By the beginning of a metric's name, before its extractor: "fd" of "fd:pca:64".
_ESTIMATORS = {
    "otdd": "OTDD by optimal transport, exact up to 5,000 samples in all, with Gaussian label distances",
    "fd": "FD in closed form between Gaussian fits",
    "cfd": "CFD as FD, the mean over classes",
    "kid": "KID, unbiased, with the cubic kernel",
    "w2": "W₂² by exact optimal transport",
    "sliced_w2": "sliced W₂² along 1,000 directions",
    "sliced_otdd": "s-OTDD along random projections",
    "mmd": "MMD², unbiased, with an RBF kernel of the real median distance",
}
# Runs of older versions do not say what their extractor is.
_OLDER = {"classifier": "frozen reference classifier"}


def distances(measured: Iterable[str], n: str = "", extractors: Mapping[str, str] = _OLDER) -> str:
    """Extractor, estimators and n of the distances among `measured`; "" when there is none. extractors: name
    to what it is."""
    found: dict[str, None] = {}
    kinds: dict[str, None] = {}
    for name in map(str, measured):
        kind, _, where = name.partition(":")
        where = where.removesuffix(":floor")
        derived = where.rpartition(":")[2] in (*ENDS, "slope") or ":slope" in where
        if kind in _ESTIMATORS and where and not derived:
            kinds[kind], found[where] = None, None
    if not kinds:
        return ""
    sizes = f", n = {n} on each side" if n else ""
    titles = dict.fromkeys((_OLDER | dict(extractors)).get(where, where) for where in found)
    return (
        f"Distances are real test data vs replay{sizes}. Extractor: {'; '.join(titles)}. "
        f"Estimator: {'; '.join(text for kind, text in _ESTIMATORS.items() if kind in kinds)}. "
        "Floor: real vs real at the same n."
    )


def significance(bests: Iterable[Best], among: str = "column") -> str:
    """What † means, with a blank behind it, or why there is none; "" where nothing competes."""
    competing = [best for best in bests if best.mean is not None]
    if not competing:
        return ""
    if not any(best.tested for best in competing):
        return f"No test of differences: it takes {LEAST_SEEDS} seeds of every strategy. "
    return (
        f"{MARK}: differs from every other strategy of its {among}, bounds aside, at 5 % (two-sided Welch "
        f"t-tests between all pairs, Holm-corrected, where each has {LEAST_SEEDS} seeds or more). "
    )


def intervals(measured: Iterable[object], when: str = "") -> str:
    """How to read intervals, with a blank before it; "" where none was measured. when: of what only."""
    if not any(str(name).endswith(f":{ENDS[0]}") for name in measured):
        return ""
    return f" In square brackets{when}: 95 % confidence interval, of sampling alone."


def span(values: Iterable[int]) -> str:
    """Sample numbers as text: "72", or "72 to 359"; "" for none."""
    numbers = sorted(set(values))
    if not numbers:
        return ""
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
