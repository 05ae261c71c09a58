"""`cl-bench generate RUN`: use a run's trained generator outside of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from cl_bench.cli.verb import Verb, add_output, whole_number
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError, unknown


class GenerateVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench generate runs/splitdigits/ddgr/0123456789ab --out samples\n"
        "  cl-bench generate 0123 --class 3,7 --n 500 --task 2 --out threes_and_sevens.npz\n\n"
        "A folder gets a subfolder of PNG files per class; an npz file holds x, y, depth and class_names."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="folder or id of the run")
        parser.add_argument(
            "--class",
            dest="classes",
            metavar="NAME,…",
            help="classes by name or number (default: all seen so far)",
        )
        parser.add_argument("--n", type=whole_number, default=10, help="samples per class (default: 10)")
        parser.add_argument("--out", required=True, metavar="FOLDER|FILE.npz", help="where to write; new")
        parser.add_argument(
            "--task",
            type=whole_number,
            metavar="T",
            help="the generator as it was after task T, from 1 (default: the last finished task)",
        )
        parser.add_argument("--seed", type=whole_number, default=0, help="seed of the samples (default: 0)")
        parser.add_argument("--device", metavar="auto|cpu|cuda", default="auto", help="where to compute")
        add_output(parser)
        parser.add_argument("--quiet", action="store_true", help="no progress; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.progress import Progress

        out, progress = Path(arguments.out), Progress(arguments.quiet)
        if arguments.n < 1:
            raise UserError(f"--n {arguments.n}: expected at least one sample per class")
        with progress.loading("torch"):
            from cl_bench.finished_run import load_run
            from cl_bench.generated_files import refuse_existing, write_folder, write_npz
            from cl_bench.samples import Samples, labels_for
            from cl_bench.seeds import isolated
            from cl_bench.trained import trained_strategy
        refuse_existing(out)
        run = load_run(arguments.run, arguments.output or DEFAULT_OUTPUT)
        done = run.directory.finished_tasks()
        task = (done if arguments.task is None else arguments.task) - 1
        if not 0 <= task < done:
            raise UserError(f"{run.path}: task {task + 1} is not finished; {done} of {run.num_tasks} are")
        strategy = trained_strategy(run, task, arguments.device, progress)
        if not strategy.generative:
            raise UserError(f"strategy {run.strategy!r} has no generator")
        seen = sorted({c for classes in run.manifest["tasks"][: task + 1] for c in classes})
        names = run.spec.class_names
        classes = _chosen(arguments.classes, names, seen) if arguments.classes else seen
        y = labels_for(dict.fromkeys(classes, arguments.n))
        with progress.phase(f"{len(y)} samples"), isolated(arguments.seed, "generate"):
            samples = Samples(strategy.sample(y), y, y.clone().apply_(strategy.depth))
        (write_npz if out.suffix == ".npz" else write_folder)(out, samples, names)
        when = f"after {run.word} {task + 1} of {run.num_tasks}"
        print(f"{len(y)} samples of {len(classes)} classes, {when}: {out}")
        return 0


def _chosen(text: str, names: tuple[str, ...], seen: list[int]) -> list[int]:
    """Class numbers from names or numbers, separated by commas. Raises UserError."""
    known = [names[c] for c in seen]
    chosen = set()
    for part in (part.strip() for part in text.split(",")):
        if part in known:
            chosen.add(names.index(part))
        elif part.isdigit() and int(part) in seen:
            chosen.add(int(part))
        else:
            raise unknown("class", part, known)
    return sorted(chosen)
