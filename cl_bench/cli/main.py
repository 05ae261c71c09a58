"""The command line: one class per verb, each in its own file, imported only when it is called.

Exit codes: 0 done, 1 some runs of a recipe failed, 2 the user's mistake (one line on standard error), 3 a
training that diverged, 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from cl_bench.errors import TrainingDiverged, UserError, unknown

VERBS = {
    "run": ("cl_bench.cli.run:RunVerb", "run a strategy on a benchmark (the default verb)"),
    "list": (
        "cl_bench.cli.list:ListVerb",
        "list strategies, benchmarks, generators, … or runs",
    ),
    "show": ("cl_bench.cli.show:ShowVerb", "card of a name: paper, options, what it needs"),
    "report": ("cl_bench.cli.report:ReportVerb", "tables and a page of one run, or several compared"),
    "reproduce": ("cl_bench.cli.reproduce:ReproduceVerb", "run a published experiment and judge its claims"),
    "resume": ("cl_bench.cli.resume:ResumeVerb", "go on with an interrupted run"),
    "evaluate": ("cl_bench.cli.evaluate:EvaluateVerb", "judge a finished run again; nothing is trained"),
    "compare-sets": ("cl_bench.cli.compare_sets:CompareSetsVerb", "all metrics between two sets of samples"),
    "generate": ("cl_bench.cli.generate:GenerateVerb", "new samples of a run's trained generator, as files"),
    "data": ("cl_bench.cli.data:DataVerb", "download data sets, and see which are here"),
    "check": ("cl_bench.cli.check:CheckVerb", "validate a strategy, benchmark or generator"),
}


class Parser(argparse.ArgumentParser):
    """Mistakes are one line, with the nearest valid flag, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see `{self.prog} --help`)")

    def flags(self) -> list[str]:
        return [flag for action in self._actions for flag in action.option_strings]


def overview() -> str:
    """What `cl-bench --help` prints."""
    import cl_bench

    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in VERBS.items())
    return (
        f"cl-bench {cl_bench.__version__}: "
        "the benchmark suite for generative replay and self-consuming training\n\n"
        f"usage: cl-bench VERB [options]\n\n{verbs}\n\n"
        "cl-bench run                                        ddgr on splitdigits, a minute or two\n"
        "cl-bench run --strategy mixed -o lambda=0.5         options by name\n"
        "cl-bench report                                     compare all runs below runs/\n"
        "cl-bench VERB --help                                options of a verb"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except UserError as error:
        return _fail(error, error.exit_code)
    except TrainingDiverged as error:
        return _fail(error, error.exit_code)
    except KeyboardInterrupt:
        print(
            "\ncl-bench: interrupted; the same command goes on after the last finished task", file=sys.stderr
        )
        return 130
    except BrokenPipeError:
        # The reader, `head` say, has gone; there is nobody left to tell.
        sys.stderr.close()
        return 0
    except OSError as error:
        # A full or read-only disk is told in a line; anything else is a bug and keeps its traceback.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        return _fail(f"{error.strerror}: {error.filename or 'the output folder'}", UserError.exit_code)


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] in (["--help"], ["-h"]):
        print(overview())
        return 0
    if arguments[:1] == ["--version"]:
        import cl_bench

        print(f"cl-bench {cl_bench.__version__}")
        return 0
    if not arguments or arguments[0].startswith("-"):
        arguments = ["run", *arguments]
    name, rest = arguments[0], arguments[1:]
    if name not in VERBS:
        raise unknown("verb", name, VERBS)
    target, text = VERBS[name]
    module, _, attribute = target.partition(":")
    verb = getattr(importlib.import_module(module), attribute)()
    parser = Parser(
        prog=f"cl-bench {name}",
        allow_abbrev=False,
        description=text[0].upper() + text[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=verb.epilog,
    )
    verb.configure(parser)
    parsed, extra = parser.parse_known_args(rest)
    if extra:
        flag = extra[0].split("=")[0]
        raise (
            unknown("argument", flag, parser.flags())
            if flag.startswith("-")
            else UserError(f"unexpected argument {flag!r} (see `{parser.prog} --help`)")
        )
    return int(verb.execute(parsed))


def _fail(error: object, code: int) -> int:
    # Of several processes, all of which fail alike, the first one speaks.
    if os.environ.get("RANK", "0") != "0":
        return code
    text = " ".join(str(error).split())
    print(f"cl-bench: error: {text}", file=sys.stderr)
    return code
