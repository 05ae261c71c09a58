"""`cl-bench list`: names with a line each, read without importing what they name."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cl_bench.cli.verb import Verb, add_output, add_plugin
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError, unknown

KINDS = ("strategies", "benchmarks", "generators", "evaluators", "runs")


class ListVerb(Verb):
    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "kind", nargs="?", metavar="{" + ",".join(KINDS) + "}", help="(default: all but runs)"
        )
        add_output(parser)
        add_plugin(parser)

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench import registry

        for plugin in arguments.plugin:
            registry.load_plugin(plugin)
        if arguments.kind is not None and arguments.kind not in KINDS:
            raise unknown("kind", arguments.kind, KINDS)
        if arguments.kind == "runs":
            return _list_runs(Path(arguments.output or DEFAULT_OUTPUT))
        kinds = KINDS[:-1] if arguments.kind is None else (arguments.kind,)
        for kind in kinds:
            if len(kinds) > 1:
                print(f"{kind}:")
            names = getattr(registry, kind).names()
            width = max(map(len, names), default=0)
            for name in names:
                summary = getattr(registry, kind).summary(name)
                print(f"{'  ' if len(kinds) > 1 else ''}{name:<{width}}  {summary}")
        return 0


def _list_runs(output: Path) -> int:
    """A line per run below `output`, from its manifest; damaged ones are named, not hidden."""
    from cl_bench.finished_run import Run
    from cl_bench.run_directory import find

    runs = find(output)
    if not runs:
        raise UserError(f"no runs below {output}; make one with `cl-bench run`")
    for directory in runs:
        try:
            run = Run(directory)
            config, created = run.manifest["config"], run.manifest["created"]
            options = {key: value for key, value in config["strategy_options"].items() if value is not None}
            text = " ".join(f"{key}={json.dumps(value)}" for key, value in options.items())
            print(
                f"{directory.id}  {run.status:<12}  {config['strategy']:<18} {config['benchmark']:<14} "
                f"seed {config['seed']}  {created}  {text}"
            )
        except (UserError, KeyError, TypeError) as error:
            print(f"{directory.id}  damaged       {error}")
    return 0
