"""Reports: tables, figures and one self-contained page, made from run directories at any time.

    table               a metric by strategy and benchmark, as a DataFrame or text: for notebooks and papers
    numbers, lines      rows to pandas; runs to lines of a comparison
    per_task            tables of one run
    comparison          tables of several
    terminal, exports   the same tables as text, CSV, Markdown, LaTeX and JSON
    figures, page       pictures and index.html

Nothing here trains or loads a model: torch is never imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_bench.reports.pivot import table

__all__ = ["table"]


def __getattr__(name: str) -> Any:
    if name != "table":
        raise AttributeError(f"module 'cl_bench.reports' has no attribute {name!r}")
    from cl_bench.reports.pivot import table

    return table
