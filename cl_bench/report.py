"""The report contract: from runs to text and files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.finished_run import Run

if TYPE_CHECKING:
    from cl_bench.reproduction import Reproduction


class Report(ABC):
    """Makes reports of one run or of several compared; reads run directories only, never trains."""

    @abstractmethod
    def show(self, runs: list[Run], plain: bool = False) -> None:
        """Print the tables to standard output: one run per task, several as a comparison."""

    @abstractmethod
    def write(self, runs: list[Run], folder: Path) -> list[Path]:
        """Write tables (CSV, Markdown, LaTeX, JSON), figures, index.html to `folder`; the files written."""

    @abstractmethod
    def show_reproduction(self, reproduction: Reproduction, plain: bool = False) -> None:
        """Print the claims of a recipe with their verdicts."""

    @abstractmethod
    def write_reproduction(self, reproduction: Reproduction) -> list[Path]:
        """Write claims (JSON, Markdown), figures and index.html to the reproduction's folder; the files."""
