"""The report that comes with cl-bench: the same tables on the terminal, as files and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.finished_run import Run
from cl_bench.report import Report

if TYPE_CHECKING:
    from cl_bench.reports.content import Content, Drawing
    from cl_bench.reports.page import Picture
    from cl_bench.reproduction import Reproduction


class StandardReport(Report):
    """Tables by task for one run, a comparison with its bounds for several; files and a page of both."""

    def show(self, runs: list[Run], plain: bool = False) -> None:
        """Print the tables. Nothing else is printed; plain text also when nobody watches."""
        from cl_bench.reports import terminal

        content = self._content(runs)
        terminal.show(content.heading, [*content.tables, *content.sparklines], content.notes, plain)

    def write(self, runs: list[Run], folder: Path) -> list[Path]:
        """Write table.csv, rows.csv, table.md, table.tex, table.json, figures (PNG, PDF, SVG) with their
        captions (figures.md, figures.tex) and index.html to `folder`; the files written, each whole or not at
        all. Raises OSError where it cannot write."""
        from cl_bench.reports import exports, files, page

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
            files.write(folder / "table.json", exports.json_text(content)),
        ]
        pictures, drawn = _draw(content.drawings(), folder)
        written += drawn
        written.append(files.write(folder / "index.html", page.render(content, pictures)))
        return written

    def show_reproduction(self, reproduction: Reproduction, plain: bool = False) -> None:
        """Print the claims with their verdicts, and what failed."""
        from cl_bench.reports import terminal
        from cl_bench.reports.reproduction import ClaimsContent

        content = ClaimsContent(reproduction)
        terminal.show(content.heading, content.tables[:1], content.notes, plain)

    def write_reproduction(self, reproduction: Reproduction) -> list[Path]:
        """Write claims.json, claims.md, figures (PNG, PDF, SVG) with captions, index.html and, where runs
        failed for a bug, failures.txt to its folder; the files written. Raises OSError where it cannot
        write."""
        from cl_bench.reports import exports, files, page
        from cl_bench.reports.reproduction import ClaimsContent

        content, folder = ClaimsContent(reproduction), reproduction.folder
        folder.mkdir(parents=True, exist_ok=True)
        told = exports.markdown(
            content.heading, content.tables, content.notes, content.definition_texts, content.facts
        )
        claims = json.dumps(reproduction.as_dict(), indent=2, ensure_ascii=False) + "\n"
        written = [files.write(folder / "claims.json", claims), files.write(folder / "claims.md", told)]
        pictures, drawn = _draw(content.drawings(), folder)
        written += drawn
        traces = [f"{a.label}, seed {a.seed}\n{a.trace}" for a in reproduction.failed if a.trace]
        if traces:
            written.append(files.write(folder / "failures.txt", "\n".join(traces)))
        else:
            (folder / "failures.txt").unlink(missing_ok=True)
        written.append(files.write(folder / "index.html", page.render(content, pictures)))
        return written

    @staticmethod
    def _content(runs: list[Run]) -> Content:
        from cl_bench.reports.content import Comparison, Single

        different = list({run.path.resolve(): run for run in runs}.values())
        if not different:
            raise ValueError("a report needs at least one run")
        return Single(different[0]) if len(different) == 1 else Comparison(different)


def _draw(drawings: Iterable[Drawing], folder: Path) -> tuple[list[Picture], list[Path]]:
    """Write each drawing as PNG, PDF and SVG, and the captions of all of them; the pictures for the page, and
    the files."""
    from cl_bench.reports import exports, figures, files, page

    pictures, written, captions = [], [], []
    for drawing in drawings:
        found = figures.files(drawing.figure)
        pictures.append(page.Picture(drawing.caption, figures.for_page(found["png"])))
        captions.append((drawing.name, drawing.caption))
        written += [files.write(folder / f"{drawing.name}.{kind}", data) for kind, data in found.items()]
    if captions:
        written.append(files.write(folder / "figures.md", exports.markdown_figures(captions)))
        written.append(files.write(folder / "figures.tex", exports.latex_figures(captions)))
    return pictures, written
