"""`cl-bench resume`: go on with an interrupted run."""

from __future__ import annotations

import argparse

from cl_bench.cli.verb import Verb, add_data_root, add_output, add_track
from cl_bench.defaults import DEFAULT_OUTPUT


class ResumeVerb(Verb):
    epilog = "RUN is a run's folder, or the beginning of its id (see `cl-bench list runs`)."

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="folder or id of the run")
        add_data_root(parser)
        add_output(parser)
        add_track(parser)
        parser.add_argument("--quiet", action="store_true", help="no progress, no tables; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.cli.run import show_and_write
        from cl_bench.processes import first
        from cl_bench.progress import Progress

        progress = Progress(arguments.quiet or not first())
        with progress.loading("torch"):
            from cl_bench.runner import resume
        run = resume(
            arguments.run,
            arguments.output or DEFAULT_OUTPUT,
            data_root=arguments.data_root,
            progress=progress,
            track=arguments.track or (),
        )
        if first():
            show_and_write(run, progress)
        return 0
