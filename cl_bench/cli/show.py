"""`cl-bench show NAME`: a card with paper, options and needs."""

from __future__ import annotations

import argparse
import inspect

from cl_bench.cli.verb import Verb, add_plugin
from cl_bench.errors import unknown


class ShowVerb(Verb):
    epilog = "NAME is a strategy, benchmark, generator or evaluator, or kind:NAME where two kinds share it."

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        add_plugin(parser)

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench import registry
        from cl_bench.progress import Progress

        for plugin in arguments.plugin:
            registry.load_plugin(plugin)
        for index, (kind, name) in enumerate(find(arguments.name)):
            if index:
                print()
            print(card(kind, registry.ALL[kind].get(name, Progress())))
        return 0


def find(name: str) -> list[tuple[str, str]]:
    """(kind, name) of everything called `name`. Raises UserError, with the nearest, for nothing."""
    from cl_bench import registry

    kind, colon, rest = name.partition(":")
    if colon and kind in registry.ALL:
        if rest not in registry.ALL[kind]:
            raise unknown(kind, rest, registry.ALL[kind].names())
        return [(kind, rest)]
    found = [(kind, name) for kind, known in registry.ALL.items() if name in known]
    if not found:
        raise unknown("name", name, [n for known in registry.ALL.values() for n in known.names()])
    return found


def card(kind: str, cls: type) -> str:
    """Everything a user needs to know before running `cls`."""
    from cl_bench.options import describe

    lines = [f"{cls.name}  ({kind}, version {getattr(cls, 'version', 1)})", ""]  # type: ignore[attr-defined]
    lines += [f"  {line}" for line in (inspect.getdoc(cls) or "").splitlines()]
    facts = {
        "paper": getattr(cls, "paper", ""),
        "data": getattr(cls, "source", ""),
        "generator": getattr(cls, "generator", "") if kind == "benchmark" else "",
        "needs": _needs(cls),
    }
    lines += ["", *(f"  {name:<10}{text}" for name, text in facts.items() if text)]
    metrics = getattr(cls, "metrics", {})
    if metrics:
        lines += ["", "metrics:"]
        width = max(map(len, metrics))
        arrows = {True: "↑", False: "↓", None: " "}
        lines += [f"  {name:<{width}}  {arrows[m.higher_is_better]} {m.doc}" for name, m in metrics.items()]
    if hasattr(cls, "Options"):
        described = describe(cls.Options)
        lines += ["", "options (-o key=value):" if described else "no options"]
        heads = [f"{o.key}={'(required)' if o.required else _spell(o.default)}" for o in described]
        width = max(map(len, heads), default=0)
        lines += [f"  {head:<{width}}  {option.help}" for head, option in zip(heads, described, strict=True)]
    return "\n".join(lines)


def _needs(cls: type) -> str:
    needs = getattr(cls, "needs", "")
    return needs if isinstance(needs, str) else ", ".join(sorted(needs))


def _spell(value: object) -> str:
    return "none" if value is None else str(value)
