"""`cl-bench evaluate RUN`: judge a finished run once more, by other evaluators or features."""

from __future__ import annotations

import argparse

from cl_bench.cli.verb import Verb, add_data_root, add_judging, add_output, add_plugin
from cl_bench.defaults import DEFAULT_OUTPUT


class EvaluateVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench evaluate 0123 --evaluators all\n"
        "  cl-bench evaluate runs/splitdigits/ddgr/0123456789ab --extractors pixels,pca:64\n\n"
        "RUN is a run's folder, or the beginning of its id (see `cl-bench list runs`). Nothing is trained:\n"
        "samples are those that the run left on disk. New rows stand beside the run's own, and in place of\n"
        "those that they measure again; its reports show them."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="folder or id of the run")
        add_judging(parser)
        add_plugin(parser)
        parser.add_argument("--device", metavar="auto|cpu|cuda", default="auto", help="where to compute")
        add_data_root(parser)
        add_output(parser)
        parser.add_argument("--quiet", action="store_true", help="no progress, no tables; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.cli.run import show_and_write
        from cl_bench.progress import Progress

        progress = Progress(arguments.quiet)
        with progress.loading("torch"):
            from cl_bench.evaluation import evaluate
            from cl_bench.registry import load_plugin
        for plugin in arguments.plugin:
            load_plugin(plugin)
        run = evaluate(
            arguments.run,
            arguments.evaluators,
            arguments.extractors,
            output=arguments.output or DEFAULT_OUTPUT,
            device=arguments.device,
            data_root=arguments.data_root,
            progress=progress,
            ci=arguments.ci,
        )
        show_and_write(run, progress)
        return 0
