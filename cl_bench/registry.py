"""Names to classes, resolved only when used: decorators, "module:Class" strings and entry points.

A registry is filled from four places, all equal: the entry-point group of an installed package
(ours included), `register_…("name")` as a decorator, `register_…("name", "module:Class")`, and a
file or module given with `--plugin`. Listing reads docstrings as text; nothing is imported.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar, overload

from cl_bench.errors import UserError, unknown
from cl_bench.parametrised import Parametrised
from cl_bench.progress import Progress

C = TypeVar("C", bound=type)


class Registry:
    """One kind of thing by name. `base` is the class ("module:Class") that every entry must extend."""

    def __init__(self, kind: str, group: str, base: str) -> None:
        self.kind, self.group, self.base = kind, group, base
        self._targets: dict[str, str | type] = {}
        self._scanned = False

    @overload
    def register(self, name: str) -> Callable[[C], C]: ...
    @overload
    def register(self, name: str, target: str | type) -> None: ...
    def register(self, name: str, target: str | type | None = None) -> Any:
        """Register `target`, a class or "module:Class", under `name`; without it, a class decorator.

        Raises UserError when another target already has the name.
        """
        if target is None:

            def decorate(cls: C) -> C:
                self.register(name, cls)
                return cls

            return decorate
        self._add(name, target)
        return None

    def _add(self, name: str, target: str | type) -> None:
        old = self._targets.get(name)
        if old is not None and _spell(old) != _spell(target):
            raise UserError(
                f"{self.kind} name {name!r} is taken twice, by {_spell(old)} and {_spell(target)}; rename one"
            )
        # A class beats the string that names it: it is already resolved.
        if old is None or isinstance(target, type):
            self._targets[name] = target

    def _scan(self) -> None:
        if not self._scanned:
            self._scanned = True
            for point in entry_points(group=self.group):
                self._add(point.name, point.value)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        self._scan()
        return sorted(self._targets)

    def __contains__(self, name: str) -> bool:
        """Whether `name`, or what stands before its colon, is registered."""
        self._scan()
        return name in self._targets or name.partition(":")[0] in self._targets

    def get(self, name: str, progress: Progress | None = None) -> type[Any]:
        """The class called `name`, which may also be spelled "module:Class" without registration.

        In "folder:PATH" a registered name is followed by an argument: the class is then what
        `parametrised` of the class called "folder" makes of it. Raises UserError for an unknown name
        (with the nearest), a target that cannot be imported, or one that does not extend the base class.
        progress: where to say what takes long to load.
        """
        self._scan()
        prefix, colon, argument = name.partition(":")
        if name not in self._targets and prefix in self._targets and colon:
            return self._parametrised(prefix, argument, progress or Progress(quiet=True))
        if name not in self._targets and not colon:
            raise unknown(self.kind, name, self._targets)
        target = self._targets.get(name, name)
        cls = self._load(name, target) if isinstance(target, str) else target
        base = _attribute(self.base)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise UserError(f"{self.kind} {name!r}: {_spell(target)} does not extend {self.base}")
        if name in self._targets:
            self._targets[name] = cls
        cls.name = name  # type: ignore[attr-defined]  # every base class here has it
        return cls

    def _parametrised(self, prefix: str, argument: str, progress: Progress) -> type[Any]:
        cls = self.get(prefix)
        if not issubclass(cls, Parametrised):
            raise UserError(f"{self.kind} {prefix!r} takes no argument; say {prefix} instead of {prefix}:…")
        if not argument:
            raise UserError(f"{self.kind} {prefix!r} needs an argument; say {prefix}:{cls.takes}")
        loading = bool(cls.loads) and cls.loads not in sys.modules
        with progress.loading(cls.loads) if loading else nullcontext():
            made: type[Any] = cls.parametrised(argument)
        made.name = f"{prefix}:{made.argument}"
        return made

    def _load(self, name: str, target: str) -> Any:
        try:
            return _attribute(target)
        except UserError:
            raise
        except Exception as error:
            # A stranger's module may fail in any way; whose it is matters more than our traceback.
            problem = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.kind} {name!r}: {target} cannot be imported: {problem}") from error

    def summary(self, name: str) -> str:
        """First line of the docstring of `name`'s class, or of its module; read as text, not imported."""
        self._scan()
        target = self._targets[name]
        if isinstance(target, type):
            return (target.__doc__ or "").strip().partition("\n")[0]
        module, _, attribute = target.partition(":")
        try:
            spec = importlib.util.find_spec(module)
            tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
        except (ImportError, OSError, ValueError, SyntaxError) as error:
            return f"(cannot be read: {error})"
        classes = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == attribute]
        docs = [*map(ast.get_docstring, classes), ast.get_docstring(tree)]
        return next((doc.partition("\n")[0] for doc in docs if doc), "")


def _spell(target: str | type) -> str:
    return target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"


def _attribute(target: str) -> Any:
    module, _, attribute = target.partition(":")
    if not module or not attribute:
        raise ImportError('expected "module:Class"')
    value: Any = importlib.import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


strategies = Registry("strategy", "cl_bench.strategies", "cl_bench.strategy:Strategy")
benchmarks = Registry("benchmark", "cl_bench.benchmarks", "cl_bench.benchmark:Benchmark")
generators = Registry("generator", "cl_bench.generators", "cl_bench.generator:Generator")
evaluators = Registry("evaluator", "cl_bench.evaluators", "cl_bench.evaluator:Evaluator")
extractors = Registry("extractor", "cl_bench.extractors", "cl_bench.extractor:Extractor")
trackers = Registry("tracker", "cl_bench.trackers", "cl_bench.tracker:Tracker")
reports = Registry("report", "cl_bench.reports", "cl_bench.report:Report")

ALL = {
    registry.kind: registry
    for registry in (strategies, benchmarks, generators, evaluators, extractors, trackers)
}


def available(kind: str) -> dict[str, str]:
    """Names with a line each: `kind` is "strategy", "benchmark", "generator", "evaluator", "extractor" or
    "tracker"."""
    if kind not in ALL:
        raise unknown("kind", kind, ALL)
    return {name: ALL[kind].summary(name) for name in ALL[kind].names()}


register_strategy = strategies.register
register_benchmark = benchmarks.register
register_generator = generators.register
register_evaluator = evaluators.register
register_extractor = extractors.register
register_tracker = trackers.register


def load_plugin(plugin: str) -> None:
    """Import a plug-in, a `.py` file or an importable module, so that its decorators register.

    Raises UserError when the file is missing or its import fails.
    """
    try:
        if not plugin.endswith(".py"):
            importlib.import_module(plugin)
            return
        path = Path(plugin).resolve()
        # Two files may share a stem; one file given twice is imported once.
        name = f"cl_bench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
        if name in sys.modules:
            return
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise UserError(f"plug-in {plugin}: no such file")
        module = importlib.util.module_from_spec(spec)
        # Registered before execution: dataclasses look their module up by name.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"plug-in {plugin} failed to import: {type(error).__name__}: {error}") from error
