"""What a number needs beside it: n, extractor, estimator, and how to read arrows."""

from __future__ import annotations

from collections.abc import Iterable

from cl_bench.reports.columns import FD, OTDD
from cl_bench.rows import ENDS

ARROWS = "↑ higher is better, ↓ lower is better."
SEEDS = "Mean ± sample standard deviation over seeds (n − 1); no ± with one seed."

_ESTIMATORS = {
    OTDD: "OTDD by exact optimal transport with Gaussian label distances",
    FD: "FD in closed form between Gaussian fits",
}


def distances(measured: Iterable[str], n: str = "") -> str:
    """Extractor, estimators and n of the distances among `measured`; "" when there is none."""
    known = set(measured)
    estimators = [text for name, text in _ESTIMATORS.items() if name in known]
    if not estimators:
        return ""
    sizes = f", n = {n} on each side" if n else ""
    return (
        f"Distances are real test data vs replay{sizes}. Extractor: frozen reference classifier. "
        f"Estimator: {'; '.join(estimators)}. Floor: real vs real at the same n."
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
