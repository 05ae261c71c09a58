"""`cl-bench run`: resolve, run, print the tables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_bench.cli.verb import (
    Verb,
    add_data_root,
    add_judging,
    add_output,
    add_plugin,
    add_track,
    assignment,
    whole_number,
)
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.errors import UserError, unknown

if TYPE_CHECKING:
    from cl_bench.finished_run import Run
    from cl_bench.progress import Progress

FILE_KEYS = (
    "strategy",
    "benchmark",
    "generator",
    "seed",
    "order_seed",
    "device",
    "limit",
    "evaluators",
    "extractors",
    "ci",
    "plugins",
    "data_root",
    "output",
    "track",
    "options",
)


class RunVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench run --strategy bootstrap --seed 1\n"
        "  cl-bench run --strategy mixed -o lambda=0.5 -o generator.steps=500\n"
        "  cl-bench run --benchmark splitdigits -o tasks=[4,3,3] --order-seed 7\n"
        "  cl-bench run --plugin my_strategy.py --strategy mine\n\n"
        "The same command again goes on after the last finished task. A --config file is YAML with the\n"
        "keys strategy, benchmark, generator, seed, order_seed, device, limit, evaluators, extractors,\n"
        "ci, plugins, data_root, output, track, options; the command line wins over it."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        what = parser.add_argument_group("what to run")
        what.add_argument("--strategy", metavar="NAME", help="strategy (default: ddgr)")
        what.add_argument("--benchmark", metavar="NAME", help="benchmark (default: splitdigits)")
        what.add_argument(
            "--generator", metavar="NAME", help="generator, or none (default: the benchmark's own)"
        )
        what.add_argument(
            "-o",
            "--option",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="option of strategy, benchmark or generator; see `cl-bench show NAME`; may be repeated",
        )
        add_judging(what)  # type: ignore[arg-type]
        what.add_argument(
            "--config", metavar="FILE", help="YAML file with any of these; the command line wins"
        )
        add_plugin(what)  # type: ignore[arg-type]
        how = parser.add_argument_group("how to run it")
        how.add_argument(
            "--seed", type=whole_number, help="seed of everything but the class order (default: 0)"
        )
        how.add_argument(
            "--order-seed",
            type=whole_number,
            help="seed of the class order (default: the data set's own order)",
        )
        how.add_argument("--device", metavar="auto|cpu|cuda", help="where to compute (default: auto)")
        how.add_argument(
            "--limit", type=whole_number, metavar="N", help="at most N training and test samples per class"
        )
        add_data_root(how)  # type: ignore[arg-type]
        add_output(how)  # type: ignore[arg-type]
        add_track(how)  # type: ignore[arg-type]
        how.add_argument("--dry-run", action="store_true", help="print the resolved configuration and stop")
        how.add_argument("--quiet", action="store_true", help="no progress, no tables; errors only")

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench.processes import first
        from cl_bench.progress import Progress

        progress = Progress(arguments.quiet or not first())
        asked = merge(arguments)
        output, track = asked.pop("output"), asked.pop("track")
        with progress.loading("torch"):
            from cl_bench.config import Request, resolve
            from cl_bench.runner import run
            from cl_bench.tracking import chosen_trackers
        if arguments.dry_run:
            import yaml

            resolved = resolve(Request(**asked), progress)
            chosen_trackers(track)
            content = resolved.config.as_dict() | {"run_id": resolved.run_id()}
            print(yaml.safe_dump(content, sort_keys=False), end="")
            return 0
        finished = run(**asked, output=output, track=track, progress=progress)
        if first():
            show_and_write(finished, progress)
        return 0


def merge(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `cl_bench.run`: command line over configuration file."""
    values = _read(arguments.config) if arguments.config else {}
    typed = {key: getattr(arguments, key) for key in FILE_KEYS if hasattr(arguments, key)}
    values |= {key: value for key, value in typed.items() if value is not None}
    typed_options = dict(map(assignment, arguments.option))
    from_file = values.get("options") or {}
    kept = {key: v for key, v in from_file.items() if not any(_same_option(key, k) for k in typed_options)}
    values["options"] = kept | typed_options
    values["plugins"] = tuple(values.get("plugins") or ()) + tuple(arguments.plugin)
    values["track"] = tuple(values.get("track") or ())
    for key in ("evaluators", "extractors"):
        if values.get(key) is not None:
            values[key] = tuple(values[key])
    return {"output": DEFAULT_OUTPUT} | values


def _same_option(a: str, b: str) -> bool:
    """Whether two spellings, `lambda` and `strategy.lambda_` say, may mean the same option."""
    (kind_a, _, key_a), (kind_b, _, key_b) = a.rpartition("."), b.rpartition(".")
    return key_a.rstrip("_") == key_b.rstrip("_") and (not kind_a or not kind_b or kind_a == kind_b)


def _read(path: str) -> dict[str, Any]:
    """A configuration file. Raises UserError when missing, not YAML, or with unknown or mistyped keys."""
    import yaml

    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"--config {path}: expected keys and values, got {type(values).__name__}")
    expected: dict[str, tuple[type, ...]] = {
        **dict.fromkeys(FILE_KEYS, (str,)),
        **dict.fromkeys(("seed", "order_seed", "limit"), (int,)),
        "ci": (bool,),
        **dict.fromkeys(("evaluators", "extractors", "plugins", "track"), (list,)),
        "options": (dict,),
    }
    for key, value in values.items():
        if key not in expected:
            raise unknown("key", str(key), FILE_KEYS)
        wrong = not isinstance(value, expected[key]) or (isinstance(value, bool) and key != "ci")
        if value is not None and wrong:
            raise UserError(f"--config {path}: {key} must be {expected[key][0].__name__}, got {value!r}")
        if isinstance(value, list | dict) and not all(isinstance(item, str) for item in value):
            raise UserError(f"--config {path}: {key} must hold names, got {value!r}")
    return {key: value for key, value in values.items() if value is not None}


def show_and_write(run: Run, progress: Progress) -> None:
    """End of a run: report files always, tables and paths unless quiet."""
    with progress.phase("report"):
        from cl_bench.registry import reports

        report = reports.get("default")()
        written = report.write([run], run.directory.report)
    if not progress.quiet:
        report.show([run])
        page = next((path for path in written if path.suffix == ".html"), run.directory.report)
        print(f"\nrun     {run.path}\npage    {page}\nagain   cl-bench report {run.path}")
