"""The report contract: from runs to text and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from cl_bench.finished_run import Run


class Report(ABC):
    """Makes reports of one run or of several compared; reads run directories only, never trains."""

    @abstractmethod
    def show(self, runs: list[Run], plain: bool = False) -> None:
        """Print the tables to standard output: one run per task, several as a comparison."""

    @abstractmethod
    def write(self, runs: list[Run], folder: Path) -> list[Path]:
        """Write tables (CSV, Markdown, LaTeX) and index.html to `folder`; the files written."""
