"""The report that comes with cl-bench: the same tables on the terminal, as files and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.finished_run import Run
from cl_bench.report import Report

if TYPE_CHECKING:
    from cl_bench.reports.content import Content


class StandardReport(Report):
    """Tables by task for one run, a comparison with its bounds for several; files and a page of both."""

    def show(self, runs: list[Run], plain: bool = False) -> None:
        """Print the tables. Nothing else is printed; plain text also when nobody watches."""
        from cl_bench.reports import terminal

        content = self._content(runs)
        terminal.show(content.heading, content.tables, content.notes, plain)

    def write(self, runs: list[Run], folder: Path) -> list[Path]:
        """Write table.csv, rows.csv, table.md, table.tex, figures (PNG, PDF) and index.html to `folder`; the
        files written, each whole or not at all. Raises OSError where it cannot write."""
        from cl_bench.reports import exports, figures, files, page

        content = self._content(runs)
        folder.mkdir(parents=True, exist_ok=True)
        written = [
            files.write(folder / "table.csv", exports.csv(content.wide)),
            files.write(folder / "rows.csv", exports.csv(content.rows)),
            files.write(
                folder / "table.md",
                exports.markdown(content.heading, content.tables, content.notes, content.definition_texts),
            ),
            files.write(folder / "table.tex", exports.latex(content.tables)),
        ]
        pictures = []
        for drawing in content.drawings():
            png = figures.png(drawing.figure)
            pictures.append(page.Picture(drawing.caption, png))
            written.append(files.write(folder / f"{drawing.name}.png", png))
            written.append(files.write(folder / f"{drawing.name}.pdf", figures.pdf(drawing.figure)))
        written.append(files.write(folder / "index.html", page.render(content, pictures)))
        return written

    @staticmethod
    def _content(runs: list[Run]) -> Content:
        from cl_bench.reports.content import Comparison, Single

        different = list({run.path.resolve(): run for run in runs}.values())
        if not different:
            raise ValueError("a report needs at least one run")
        return Single(different[0]) if len(different) == 1 else Comparison(different)
