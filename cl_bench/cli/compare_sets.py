"""`cl-bench compare-sets A B`: all metrics between two sets of samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from cl_bench.cli.verb import Verb, add_judging, add_plugin, whole_number
from cl_bench.errors import UserError


class CompareSetsVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench compare-sets photographs samples --size 64\n"
        "  cl-bench compare-sets real.npz samples.npz --extractors pixels,pca:64 --csv metrics.csv\n\n"
        "A is the real set, B the other one: folders of images, in a folder per class or all in one, or npz\n"
        "files with x and, if they like, y and class_names, as `cl-bench generate` writes them. A third of\n"
        "A stands against B, and another against that third: the floor, at the same n."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("real", metavar="A", help="folder or npz file of real samples")
        parser.add_argument("fake", metavar="B", help="folder or npz file to compare with it")
        add_judging(parser)
        parser.add_argument(
            "--size",
            type=whole_number,
            metavar="N",
            help="resize images to N×N pixels (default: as they are)",
        )
        parser.add_argument("--per-class", action="store_true", help="also every class by itself")
        parser.add_argument("--csv", metavar="FILE", help="write all of it there, too")
        parser.add_argument(
            "--device", metavar="cpu|cuda", default="cpu", help="where to compute (default: cpu)"
        )
        add_plugin(parser)
        parser.add_argument("--quiet", action="store_true", help="no progress; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.progress import Progress

        progress = Progress(arguments.quiet)
        if arguments.size is not None and arguments.size < 4:
            raise UserError(f"--size {arguments.size}: expected at least 4 pixels")
        if arguments.csv and Path(arguments.csv).exists():
            raise UserError(f"{arguments.csv} exists; name another --csv, or remove it")
        with progress.loading("torch"):
            from cl_bench.registry import load_plugin
            from cl_bench.reports.sets import show
            from cl_bench.sample_files import read_samples
            from cl_bench.set_comparison import compare_sets
        for plugin in arguments.plugin:
            load_plugin(plugin)
        real, fake = (read_samples(Path(path), arguments.size) for path in (arguments.real, arguments.fake))
        found = compare_sets(
            real,
            fake,
            arguments.evaluators,
            arguments.extractors,
            device=arguments.device,
            progress=progress,
            ci=bool(arguments.ci),
        )
        if arguments.csv:
            found.to_csv(arguments.csv, index=False)
        show(found, arguments.real, arguments.fake, arguments.per_class)
        return 0
