"""`cl-bench report`: tables and a page from what is on disk; nothing is computed again."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.cli.verb import Verb, add_output
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError
from cl_bench.run_directory import METRICS

if TYPE_CHECKING:
    from cl_bench.finished_run import Run
    from cl_bench.report import Report


class ReportVerb(Verb):
    epilog = (
        "RUN is a run's folder, the beginning of its id, or a folder of runs; none means all runs. One run\n"
        "gives its per-task tables, several a comparison; it need not be finished. Files: CSV, Markdown,\n"
        "LaTeX, JSON, figures with captions, index.html."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("runs", nargs="*", metavar="RUN", help="folders or ids (default: every run)")
        add_output(parser)
        parser.add_argument(
            "--to", metavar="DIR", help="folder for the files (default: the run's, or OUTPUT/report)"
        )
        parser.add_argument("--plain", action="store_true", help="plain text tables")
        parser.add_argument(
            "--watch",
            type=float,
            metavar="SECONDS",
            help="look so often for changes and write the files again, until the runs are finished",
        )

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.registry import reports

        output = Path(arguments.output or DEFAULT_OUTPUT)
        if arguments.watch is not None and arguments.watch <= 0:
            raise UserError(f"--watch {arguments.watch:g}: expected seconds, more than 0")
        runs = _named(arguments.runs, output)
        report = reports.get("default")()
        default = runs[0].directory.report if len(runs) == 1 else runs[0].path.parents[2] / "report"
        target = Path(arguments.to) if arguments.to else default
        shown = _states(runs)
        try:
            written = report.write(runs, target)
        except OSError as error:
            raise UserError(f"cannot write to {target}: {error.strerror}; choose another --to") from error
        page = next(path for path in written if path.suffix == ".html")
        if arguments.watch is not None:
            print(f"page    {page}", flush=True)
            try:
                runs = _watch(runs, shown, arguments, output, report, target)
            except KeyboardInterrupt:
                # The usual way to stop watching; the page is whole, as it was last written.
                print()
                return 0
        report.show(runs, plain=arguments.plain)
        print(f"\npage    {page}")
        return 0


State = tuple[Path, bool, tuple[object, ...]]


def _watch(
    runs: list[Run],
    seen: list[State],
    arguments: argparse.Namespace,
    output: Path,
    report: Report,
    target: Path,
) -> list[Run]:
    """Write the report again whenever the runs are no more as `seen`, looked at every so often, until all of
    them are finished; the runs as they are then."""
    told = ""
    while not all(finished for _, finished, _ in seen):
        time.sleep(arguments.watch)
        try:
            runs = _named(arguments.runs, output)
            states = _states(runs)
            if states == seen:
                continue
            report.write(runs, target)
        except (OSError, UserError) as error:
            # What another process is replacing may be gone for a moment.
            if str(error) != told:
                told = str(error)
                print(f"cl-bench: tried again in {arguments.watch:g} s: {told}", file=sys.stderr)
            continue
        seen = states
        tasks = ", ".join(dict.fromkeys(str(written[0]) for *_, written in states))
        print(f"{datetime.now():%H:%M:%S}  written: {tasks}", flush=True)
    return runs


def _states(runs: list[Run]) -> list[State]:
    """What tells that a run has gone on: its path, whether it is finished, and what it has written."""
    found: list[State] = []
    for run in runs:
        finished, metrics = run.finished, run.path / METRICS
        size = metrics.stat().st_size if metrics.exists() else 0
        found.append((run.path, finished, (run.status, size, run.manifest.get("extractors"))))
    return found


def _named(names: list[str], output: Path) -> list[Run]:
    """The runs that the command names, each once; all below `output` if it names none."""
    from cl_bench.finished_run import Run
    from cl_bench.run_directory import MANIFEST, locate

    runs: list[Run] = []
    for name in names:
        folder = Path(name)
        is_folder_of_runs = folder.is_dir() and not (folder / MANIFEST).exists()
        runs += _all_below(folder) if is_folder_of_runs else [Run(locate(name, output))]
    if not names:
        runs = _all_below(output)
    return list({run.path.resolve(): run for run in runs}.values())


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
