"""`cl-bench show NAME`: a card with paper, options and needs; of a benchmark its stream, too."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from cl_bench.cli.verb import Verb, add_data_root, add_plugin, assignment, whole_number
from cl_bench.errors import unknown


class ShowVerb(Verb):
    epilog = (
        "NAME is a strategy, benchmark, generator, evaluator or extractor, or kind:NAME where two kinds\n"
        "share it."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        stream = parser.add_argument_group("the stream of a benchmark")
        stream.add_argument("-o", "--option", action="append", default=[], metavar="KEY=VALUE")
        stream.add_argument("--order-seed", type=whole_number, help="seed of the class order")
        add_data_root(stream)  # type: ignore[arg-type]
        add_plugin(parser)

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench import registry
        from cl_bench.progress import Progress

        for plugin in arguments.plugin:
            registry.load_plugin(plugin)
        for index, (kind, name) in enumerate(find(arguments.name)):
            if index:
                print()
            cls = registry.ALL[kind].get(name, Progress())
            print(card(kind, cls), flush=True)
            if kind == "benchmark":
                print(f"\n{_stream(cls, arguments)}")
        return 0


def _stream(cls: type[Any], arguments: argparse.Namespace) -> str:
    """The stream's card, or what keeps it from being made."""
    from cl_bench import options
    from cl_bench.cli.stream_card import stream_card
    from cl_bench.data_root import data_root
    from cl_bench.data_set import MissingFiles
    from cl_bench.parametrised import Parametrised

    if issubclass(cls, Parametrised) and not cls.argument:
        return f"stream: say {cls.name}:{cls.takes} to see it"
    given = options.build(cls.Options, dict(map(assignment, arguments.option)), f"benchmark {cls.name}")
    try:
        return stream_card(cls(given, data_root(arguments.data_root)), arguments.order_seed)
    except MissingFiles as error:
        return f"stream: {error}"


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
        "generator": _generator(kind, cls),
        "needs": _needs(cls),
        "stores": getattr(cls, "stores", ""),
        "cost": getattr(cls, "cost", ""),
        "limits": getattr(cls, "limits", ""),
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


def _generator(kind: str, cls: type) -> str:
    """The generator that is taken when none is named, with the options it is given."""
    if kind != "strategy":
        return getattr(cls, "generator", "") if kind == "benchmark" else ""
    name: str = getattr(cls, "default_generator", None) or ""
    defaults: dict[str, object] = getattr(cls, "generator_defaults", {})
    given = ", ".join(f"{key}={_spell(value)}" for key, value in defaults.items())
    return f"{name} with {given}" if given else name


def _needs(cls: type) -> str:
    needs = getattr(cls, "needs", "")
    return needs if isinstance(needs, str) else ", ".join(sorted(needs))


def _spell(value: object) -> str:
    return "none" if value is None else str(value)
