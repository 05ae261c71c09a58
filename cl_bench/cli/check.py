"""`cl-bench check NAME`: use it on a tiny task and say what holds."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from cl_bench.cli.verb import Verb, add_plugin, assignment
from cl_bench.defaults import DEFAULT_BENCHMARK
from cl_bench.errors import UserError

CHECKED = ("strategy", "benchmark", "generator")


class CheckVerb(Verb):
    epilog = (
        "NAME is a strategy, benchmark or generator. It is run on two tiny tasks of real data; its card,\n"
        "its contract, its checkpoints and its honesty (no test data, no task id) are looked at."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--benchmark", metavar="NAME", help="data for checking a strategy (default: splitdigits)"
        )
        parser.add_argument("--generator", metavar="NAME", help="generator for checking a strategy")
        parser.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE")
        add_plugin(parser)

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench import registry
        from cl_bench.cli.show import find

        for plugin in arguments.plugin:
            registry.load_plugin(plugin)
        prefix, colon, _ = arguments.name.partition(":")
        # "strategy:naive" and "avalanche:EWC" are names; any other colon is that of "module:Class".
        named = prefix in registry.ALL or any(prefix in known for known in registry.ALL.values())
        found = find(arguments.name) if named or not colon else [("strategy", arguments.name)]
        if not any(kind in CHECKED for kind, _ in found):
            article = "an" if found[0][0][0] in "aeiou" else "a"
            raise UserError(
                f"{arguments.name} is {article} {found[0][0]}; check takes a strategy, benchmark or generator"
            )

        from cl_bench.checks.benchmark import check_benchmark
        from cl_bench.checks.generator import check_generator
        from cl_bench.checks.strategy import check_strategy
        from cl_bench.config import Request
        from cl_bench.progress import Progress

        looks = dict(zip(CHECKED, (check_strategy, check_benchmark, check_generator), strict=True))
        failed = 0
        for kind, name in found:
            if kind not in CHECKED:
                continue
            data = Request(
                benchmark=arguments.benchmark or DEFAULT_BENCHMARK,
                generator=arguments.generator,
                plugins=tuple(arguments.plugin),
                options=dict(map(assignment, arguments.option)),
                device="cpu",
                evaluators=("accuracy",),
            )
            registry.ALL[kind].get(name, Progress())
            chosen: dict[str, Any] = {kind: name}
            request = dataclasses.replace(data, **chosen)
            print(f"{kind} {name}")
            for what, problem in looks[kind](request):
                print(f"  ok    {what}" if problem is None else f"  FAIL  {what}: {problem}", flush=True)
                failed += problem is not None
        return 2 if failed else 0
