"""`cl-bench list`: names with a line each, read without importing what they name."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cl_bench.cli.verb import Verb, add_output, add_plugin
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError, unknown

KINDS = ("strategies", "benchmarks", "generators", "evaluators", "extractors", "trackers", "runs")


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

    directories = find(output)
    if not directories:
        raise UserError(f"no runs below {output}; make one with `cl-bench run`")
    runs, damaged = [], []
    for directory in directories:
        try:
            run = Run(directory)
            runs.append((run, _flat(run.manifest["config"])))
        except (UserError, KeyError, TypeError, AttributeError) as error:
            damaged.append(f"{directory.id}  damaged       {error}")
    # Only what tells the runs from each other; the rest is in each manifest.
    every = {key for _, config in runs for key in config}
    telling = sorted(key for key in every if len({config.get(key) for _, config in runs}) > 1)
    for run, config in runs:
        text = " ".join(f"{key}={config[key]}" for key in telling if key in config)
        print(
            f"{run.id}  {run.status:<12}  {run.strategy:<18} {run.benchmark:<14} seed {run.seed}  "
            f"{run.manifest.get('created', '')}  {text}"
        )
    print("\n".join(damaged), end="\n" if damaged else "")
    return 0


def _flat(config: dict[str, Any]) -> dict[str, str]:
    """A configuration as text by option key, without what every line shows anyway."""
    flat = {key: value for key, value in config.items() if not isinstance(value, dict)}
    for kind in ("strategy", "benchmark", "generator"):
        flat |= {f"{kind}.{key}": value for key, value in config[f"{kind}_options"].items()}
    shown = {"strategy", "benchmark", "seed", "evaluators", "plugins"}
    return {key: json.dumps(value, ensure_ascii=False) for key, value in flat.items() if key not in shown}
