"""`cl-bench report`: tables and a page from what is on disk; nothing is computed again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.cli.verb import Verb, add_output
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError

if TYPE_CHECKING:
    from cl_bench.finished_run import Run


class ReportVerb(Verb):
    epilog = (
        "RUN is a run's folder, the beginning of its id, or a folder of runs; none means all runs. One run\n"
        "gives its per-task tables, several a comparison. Files: CSV, Markdown, LaTeX, JSON,\n"
        "figures with captions, index.html."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", metavar="RUN", help="folders or ids (default: every run)")
        add_output(parser)
        parser.add_argument(
            "--to", metavar="DIR", help="folder for the files (default: the run's, or OUTPUT/report)"
        )
        parser.add_argument("--plain", action="store_true", help="plain text tables")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.finished_run import Run
        from cl_bench.registry import reports
        from cl_bench.run_directory import MANIFEST, locate

        output = Path(arguments.output or DEFAULT_OUTPUT)
        runs: list[Run] = []
        for name in arguments.runs:
            folder = Path(name)
            is_folder_of_runs = folder.is_dir() and not (folder / MANIFEST).exists()
            runs += _all_below(folder) if is_folder_of_runs else [Run(locate(name, output))]
        if not arguments.runs:
            runs = _all_below(output)
        runs = list({run.path.resolve(): run for run in runs}.values())
        report = reports.get("default")()
        default = runs[0].directory.report if len(runs) == 1 else runs[0].path.parents[2] / "report"
        target = Path(arguments.to) if arguments.to else default
        try:
            written = report.write(runs, target)
        except OSError as error:
            raise UserError(f"cannot write to {target}: {error.strerror}; choose another --to") from error
        report.show(runs, plain=arguments.plain)
        print(f"\npage    {next(path for path in written if path.suffix == '.html')}")
        return 0


def _all_below(folder: Path) -> list[Run]:
    """The runs below `folder`; damaged ones are named and left out. Raises UserError when none is left."""
    from cl_bench.finished_run import Run
    from cl_bench.run_directory import find

    runs = []
    for directory in find(folder):
        try:
            run = Run(directory)
            _ = run.rows
            runs.append(run)
        except UserError as error:
            print(f"cl-bench: left out: {error}", file=sys.stderr)
    if not runs:
        raise UserError(f"no runs below {folder}; make one with `cl-bench run`")
    return runs
