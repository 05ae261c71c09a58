"""`cl-bench data`: download data sets, and see which are here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cl_bench.cli.verb import Verb, add_data_root, add_plugin
from cl_bench.errors import UserError, unknown

if TYPE_CHECKING:
    from cl_bench.data_set import DataSet

ACTIONS = ("status", "fetch")


class DataVerb(Verb):
    epilog = (
        "examples:\n"
        "  cl-bench data status                 which data sets are here, and where they are looked for\n"
        "  cl-bench data fetch cifar100         download one, checksums verified\n\n"
        "NAME is a data set or a benchmark that uses it."
    )

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("action", metavar="{status,fetch}")
        parser.add_argument("name", nargs="?", metavar="NAME", help="data set to fetch")
        add_data_root(parser)
        add_plugin(parser)

    def execute(self, arguments: argparse.Namespace) -> int:
        from cl_bench import registry
        from cl_bench.data_root import data_root

        if arguments.action not in ACTIONS:
            raise unknown("action", arguments.action, ACTIONS)
        if (arguments.action == "fetch") != (arguments.name is not None):
            raise UserError("say `cl-bench data fetch NAME` or `cl-bench data status`")
        for plugin in arguments.plugin:
            registry.load_plugin(plugin)
        root = data_root(arguments.data_root)
        if arguments.action == "fetch":
            return _fetch(arguments.name, root)
        return _status(root)


def data_sets() -> dict[str, DataSet]:
    """The data sets of all registered benchmarks, by their own names and by the benchmarks'."""
    from cl_bench.parametrised import Parametrised
    from cl_bench.registry import benchmarks

    found = {}
    for name in benchmarks.names():
        cls = benchmarks.get(name)
        if not issubclass(cls, Parametrised):
            data_set = cls(cls.Options()).data_set()
            if data_set is not None:
                found[data_set.name] = found[name] = data_set
    return found


def _fetch(name: str, root: Path) -> int:
    known = data_sets()
    if name not in known:
        raise unknown("data set", name, known)
    data_set = known[name]
    try:
        data_set.files(root)
        data_set.verify(root)
    except UserError:
        data_set.fetch(root)
    print(f"{data_set.title} is in {root}")
    return 0


def _status(root: Path) -> int:
    from cl_bench.data_root import cache_folder

    unique = {data_set.name: data_set for data_set in data_sets().values()}
    width = max(map(len, unique))
    print(f"data sets in {root}:")
    for name, data_set in sorted(unique.items()):
        try:
            files = data_set.files(root)
        except UserError:
            print(f"  {name:<{width}}  missing; {data_set.how_to_get()}")
            continue
        size = sum(path.stat().st_size for path in files)
        decoded = "decoded" if data_set.decoded_copy(root).is_file() else "not decoded yet"
        print(f"  {name:<{width}}  {len(files):,} files, {_megabytes(size)}, {decoded}")
    folder = cache_folder() / "decoded"
    copies = list(folder.glob("*.safetensors"))
    size = sum(path.stat().st_size for path in copies)
    print(f"decoded copies in {folder}: {len(copies)}, {_megabytes(size)}; safe to delete")
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
