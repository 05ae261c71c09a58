"""What the seeds of a line have in one metric, as a cell."""

from __future__ import annotations

from cl_bench.reports import numbers
from cl_bench.reports.cells import NOTHING, Cell, number, with_interval
from cl_bench.reports.columns import decimals
from cl_bench.reports.lines import Line
from cl_bench.reports.over_seeds import Best, Statistic
from cl_bench.reports.significance import MARK


def title(line: Line) -> str:
    return f"{line.name} ({line.role})" if line.role else line.name


def seed_cell(
    found: Statistic | None,
    line: Line,
    name: str,
    t: int,
    best: Best,
    ideal: tuple[str, str] | None = None,
    perfect: Statistic | None = None,
) -> Cell:
    """ "0.912 ± 0.010", with "[2]" behind it when only two of the seeds have the number; of one seed
    "0.912 [0.900, 0.924]", where it has an interval after task `t`. Bold the `best`, † where that is clear.
    ideal, perfect: metric and word of what a perfect generator scores, and that, in brackets."""
    if found is None:
        return Cell(NOTHING)
    places = decimals(name, found.mean)
    text = number(found.mean, places)
    raw: dict[str, float | None] = {"mean": found.mean, "std": found.std, "n": found.n}
    if found.std is not None:
        text += f" ± {number(found.std, places)}"
    if len(line.runs) == 1:
        ends = numbers.ends(numbers.overall(line.runs[0]), t, name)
        text = with_interval(text, ends, places)
        raw |= dict(zip(("low", "high"), ends, strict=True)) if ends else {}
    elif found.n != len(line.runs):
        text += f" [{found.n}]"
    # Means and the best are sums of the same numbers in the same order: equal, or another line's.
    strong = not line.role and found.mean == best.mean
    if strong and best.clear:
        text += MARK
    if ideal is not None:
        text += f" ({number(perfect.mean, decimals(name, perfect.mean)) if perfect else NOTHING})"
        raw |= {ideal[1]: perfect.mean if perfect else None}
    return Cell(text, strong, raw=raw)
