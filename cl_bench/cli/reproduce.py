"""`cl-bench reproduce NAME`: run a published experiment, then judge its claims."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING

from cl_bench.cli.verb import Verb, add_data_root, add_output, add_track, whole_number
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError

if TYPE_CHECKING:
    from cl_bench.finished_run import Run
    from cl_bench.progress import Progress
    from cl_bench.recipe import Recipe
    from cl_bench.report import Report

FAILED = 1


class ReproduceVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench reproduce --list                               recipes, scales and their times\n"
        "  cl-bench reproduce zverev2025-cifar100                  at the smallest scale\n"
        "  cl-bench reproduce zverev2025-cifar100 --scale gpu --seeds 5\n"
        "  cl-bench reproduce my_recipe.yaml --jobs 4              four runs at a time\n\n"
        "The same command again goes on where it stopped and repeats no finished run. Results are written\n"
        "to OUTPUT/reproduce/NAME-SCALE. Exit code 1: some runs failed; verdicts do not change the exit code."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="recipe, or a YAML file with one")
        parser.add_argument(
            "--scale", metavar="smoke|cpu|gpu|paper", default="smoke", help="(default: smoke)"
        )
        parser.add_argument(
            "--seeds", type=whole_number, metavar="N", help="seeds 0 to N−1 (default: the scale's)"
        )
        parser.add_argument(
            "--jobs", type=whole_number, default=1, metavar="N", help="runs at a time (default: 1)"
        )
        parser.add_argument("--list", action="store_true", help="print the recipes and stop")
        parser.add_argument("--all", action="store_true", help="all recipes, one after the other")
        add_data_root(parser)
        add_output(parser)
        add_track(parser)
        parser.add_argument("--quiet", action="store_true", help="no progress, no tables; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.recipe import find_recipe, recipe_files

        if sum((arguments.name is not None, arguments.all, arguments.list)) != 1:
            raise UserError("say `cl-bench reproduce NAME`, or --all, or --list")
        names = [arguments.name] if arguments.name else list(recipe_files())
        recipes = [find_recipe(name) for name in names]
        if arguments.list:
            print("\n\n".join(map(entry, recipes)) or "no recipes")
            return 0
        # All before the first: a mistake should not be found after hours.
        for recipe in recipes:
            recipe.scale(arguments.scale)
        if not arguments.all:
            return _reproduce(recipes[0], arguments)
        return max([_reproduce_or_tell(recipe, arguments) for recipe in recipes], default=0)


def entry(recipe: Recipe) -> str:
    """What --list says of a recipe."""
    lines = [recipe.name, f"  paper   {recipe.paper.citation}: {recipe.paper.title}"]
    wrapped = textwrap.wrap(recipe.figure, 98)
    lines += [f"  {'figure' if i == 0 else '':<6}  {line}" for i, line in enumerate(wrapped)]
    lines.append(f"  size    {len(recipe.configurations)} runs a seed, {len(recipe.claims)} claims")
    for name, scale in recipe.scales.items():
        seeds = f"{scale.seeds} {'seed' if scale.seeds == 1 else 'seeds'}"
        lines.append(f"  {name:<6}  {seeds}, {scale.time}")
    return "\n".join(lines)


def _reproduce_or_tell(recipe: Recipe, arguments: argparse.Namespace) -> int:
    """One of many recipes: what keeps it from beginning stops no other one."""
    try:
        return _reproduce(recipe, arguments)
    except UserError as error:
        print(f"cl-bench: error: {recipe.name}: {error}", file=sys.stderr)
        return FAILED


def _reproduce(recipe: Recipe, arguments: argparse.Namespace) -> int:
    from cl_bench.processes import first
    from cl_bench.progress import Progress

    progress = Progress(arguments.quiet or not first())
    scale = recipe.scale(arguments.scale)
    progress.say(f"{recipe.name}, {arguments.scale}: {len(recipe.configurations)} runs a seed; {scale.time}")
    with progress.loading("torch"):
        from cl_bench.registry import reports
        from cl_bench.reproduction import reproduce
    report: Report = reports.get("default")()

    def after(run: Run) -> None:
        if first():
            _write_page(report, run, progress)

    reproduction = reproduce(
        recipe,
        arguments.scale,
        arguments.seeds,
        output=arguments.output or DEFAULT_OUTPUT,
        data_root=arguments.data_root,
        jobs=arguments.jobs,
        progress=progress,
        after=after,
        track=arguments.track or (),
    )
    if first():
        with progress.phase("report"):
            written = report.write_reproduction(reproduction)
        if not progress.quiet:
            report.show_reproduction(reproduction)
            page = next((path for path in written if path.suffix == ".html"), reproduction.folder)
            print(f"\npage    {page}")
        for attempt in reproduction.failed:
            what = f"run {attempt.label}, seed {attempt.seed} failed: {attempt.problem}"
            print(f"cl-bench: error: {' '.join(what.split())}", file=sys.stderr)
    return FAILED if reproduction.failed else 0


def _write_page(report: Report, run: Run, progress: Progress) -> None:
    """The run's own report, unless it was written after its last row."""
    page, rows = run.directory.report / "index.html", run.path / "metrics.jsonl"
    if page.is_file() and page.stat().st_mtime >= rows.stat().st_mtime:
        return
    with progress.phase("report"):
        report.write([run], run.directory.report)
