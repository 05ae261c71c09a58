"""From what the user asked for to what will be run: names resolved, options checked, identity hashed."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cl_bench
from cl_bench import options as opts
from cl_bench import registry
from cl_bench.data_root import data_root
from cl_bench.defaults import DEFAULT_BENCHMARK, DEFAULT_EXTRACTORS, DEFAULT_STRATEGY
from cl_bench.errors import UserError, unknown
from cl_bench.parametrised import Parametrised
from cl_bench.progress import Progress

NO_GENERATOR = "none"

# Modules that read what runs have written, and touch no number of theirs.
_AFTERWARDS = (
    "claims",
    "class_colours",
    "closed_forms",
    "evaluation",
    "jobs",
    "placed_names",
    "quantities",
    "recipe",
    "report",
    "reproduction",
    "set_comparison",
    "strict",
    "tidy",
    "tracker",
    "tracking",
    "verdicts",
)

# Packages whose version changes numbers.
_NUMERIC = ("torch", "numpy", "POT", "scikit-learn", "avalanche-lib")


@dataclass(frozen=True)
class Request:
    """What the user asked for. Names and options are unchecked; None means the default."""

    strategy: str = DEFAULT_STRATEGY
    benchmark: str = DEFAULT_BENCHMARK
    generator: str | None = None
    seed: int = 0
    order_seed: int | None = None
    device: str = "auto"
    limit: int | None = None
    evaluators: tuple[str, ...] | None = None
    plugins: tuple[str, ...] = ()
    data_root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    extractors: tuple[str, ...] | None = None
    ci: bool = False


@dataclass(frozen=True)
class Config:
    """A resolved run: every option with its value. Plain values only, so that it can be written."""

    strategy: str
    benchmark: str
    generator: str
    seed: int
    order_seed: int | None
    device: str
    limit: int | None
    evaluators: tuple[str, ...]
    plugins: tuple[str, ...]
    data_root: str
    strategy_options: dict[str, Any]
    benchmark_options: dict[str, Any]
    generator_options: dict[str, Any]
    extractors: tuple[str, ...] = ()
    ci: bool = False

    def as_dict(self) -> dict[str, Any]:
        lists = ("evaluators", "plugins", "extractors")
        return asdict(self) | {key: list(getattr(self, key)) for key in lists}

    def request(self) -> Request:
        """The request that resolves to this configuration."""
        flat = {
            f"{kind}.{key}": value
            for kind in ("strategy", "benchmark", "generator")
            for key, value in getattr(self, f"{kind}_options").items()
        }
        return Request(
            self.strategy,
            self.benchmark,
            self.generator,
            self.seed,
            self.order_seed,
            self.device,
            self.limit,
            self.evaluators,
            self.plugins,
            self.data_root,
            flat,
            self.extractors or None,
            self.ci,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """Raises UserError when `values` is not a configuration."""
        try:
            config = cls(**values)
        except TypeError as error:
            raise UserError(f"the manifest's configuration is damaged: {error}") from None
        return replace(
            config,
            evaluators=tuple(config.evaluators),
            plugins=tuple(config.plugins),
            extractors=tuple(config.extractors),
        )


@dataclass(frozen=True)
class Resolved:
    """A configuration with its classes and option objects. generator is None with `--generator none`."""

    config: Config
    strategy: type[Any]
    benchmark: type[Any]
    generator: type[Any] | None
    evaluators: tuple[type[Any], ...]
    extractors: tuple[type[Any], ...]
    strategy_options: Any
    benchmark_options: Any
    generator_options: Any

    def new_benchmark(self) -> Any:
        """The benchmark with its options and where to look for its data."""
        return self.benchmark(self.benchmark_options, Path(self.config.data_root))

    def versions(self) -> dict[str, str]:
        """Everything besides the configuration that changes the numbers, by name."""
        found = {"cl-bench": f"{cl_bench.__version__}+{engine()}"}
        found |= {name: version(name) for name in _NUMERIC}
        for cls in (self.strategy, self.benchmark, self.generator, *self.evaluators, *self.extractors):
            if cls is not None:
                found[f"{cls.__module__}:{cls.__qualname__}"] = f"{getattr(cls, 'version', 1)}+{source(cls)}"
        return found

    def run_id(self) -> str:
        """12 hex digits of the SHA-256 over configuration and versions."""
        # Where files lie does not matter: a plug-in's classes are in the versions, data have a fingerprint.
        places = ("plugins", "data_root")
        chosen = {key: value for key, value in self.config.as_dict().items() if key not in places}
        if not self.config.ci:
            del chosen["ci"]  # without intervals a run is what it was before there were any
        identity = json.dumps([chosen, self.versions()], sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:12]


def resolve(request: Request, progress: Progress | None = None) -> Resolved:
    """Check a request; `progress` is told what takes long to load.

    Raises UserError for anything unknown, mistyped or out of range.
    """
    for plugin in request.plugins:
        registry.load_plugin(plugin)
    if request.limit is not None and request.limit < 4:
        raise UserError(f"--limit {request.limit} is too small; expected at least 4 samples per class")
    if not all(0 <= seed < 2**63 for seed in (request.seed, request.order_seed or 0)):
        raise UserError("seeds must be 0 or more, and below 2**63")
    if request.evaluators is not None and not request.evaluators:
        raise UserError("no evaluator named; name at least one, or leave the option out for all")
    strategy = registry.strategies.get(request.strategy, progress)
    benchmark = registry.benchmarks.get(request.benchmark)
    preferred = strategy.default_generator or benchmark.generator
    generator_name = request.generator or (preferred if strategy.uses_generator else NO_GENERATOR)
    if generator_name != NO_GENERATOR and not strategy.uses_generator:
        # Resolving a strategy has imported its base class already.
        from cl_bench.strategy import Strategy

        own = strategy.sample is not Strategy.sample
        why = "has a generator of its own" if own else "makes no data"
        raise UserError(f"strategy {strategy.name!r} {why}; --generator {generator_name} has no effect on it")
    if generator_name == NO_GENERATOR:
        generator = None
    elif generator_name in registry.generators or ":" in generator_name:
        generator = registry.generators.get(generator_name)
    else:
        raise unknown("generator", generator_name, [*registry.generators.names(), NO_GENERATOR])
    evaluators = chosen_evaluators(request.evaluators)
    extractors = chosen_extractors(request.extractors, evaluators, benchmark.extractors)
    classes = {"strategy": strategy, "benchmark": benchmark, "generator": generator}
    for kind, cls in classes.items():
        _has_argument(kind, cls)
    names = {"strategy": strategy.name, "benchmark": benchmark.name, "generator": generator_name}
    routed = opts.route(request.options, {k: c.Options if c else None for k, c in classes.items()})
    if generator is not None:
        known = {option.key for option in opts.describe(generator.Options)}
        defaults = {key: value for key, value in strategy.generator_defaults.items() if key in known}
        routed["generator"] = defaults | routed["generator"]
    built = {
        kind: opts.build(cls.Options, routed[kind], f"{kind} {names[kind]}") if cls else None
        for kind, cls in classes.items()
    }
    plain = {kind: opts.as_dict(value) if value is not None else {} for kind, value in built.items()}
    config = Config(
        names["strategy"],
        names["benchmark"],
        generator_name,
        request.seed,
        request.order_seed,
        _device(request.device),
        request.limit,
        tuple(cls.name for cls in evaluators),
        tuple(str(Path(p).resolve()) if p.endswith(".py") else p for p in request.plugins),
        str(data_root(request.data_root)),
        plain["strategy"],
        plain["benchmark"],
        plain["generator"],
        tuple(cls.name for cls in extractors),
        request.ci,
    )
    return Resolved(
        config,
        strategy,
        benchmark,
        generator,
        evaluators,
        extractors,
        built["strategy"],
        built["benchmark"],
        built["generator"],
    )


def chosen_evaluators(names: Sequence[str] | None) -> tuple[type[Any], ...]:
    """By name, each once; None for the default ones, "all" for all. Raises UserError for an unknown one."""
    every = registry.evaluators.names()
    wanted = every if names is None else [n for name in names for n in (every if name == "all" else [name])]
    found = [registry.evaluators.get(name) for name in sorted(set(wanted))]
    return tuple(cls for cls in found if cls.default or names is not None)


def chosen_extractors(
    names: Sequence[str] | None,
    evaluators: Sequence[type[Any]],
    default: Sequence[str] = DEFAULT_EXTRACTORS,
) -> tuple[type[Any], ...]:
    """By name, each once, in their order; None for the `default` ones. None at all where no evaluator needs
    features; raises UserError where some were named then."""
    if not any("features" in cls.needs for cls in evaluators):
        if names:
            raise UserError(f"no evaluator here reads features; --extractors {','.join(names)} has no effect")
        return ()
    found = tuple(registry.extractors.get(name) for name in dict.fromkeys(names or default))
    for cls in found:
        _has_argument("extractor", cls)
    return found


def _has_argument(kind: str, cls: type[Any] | None) -> None:
    if cls is not None and issubclass(cls, Parametrised) and cls.needs_argument and not cls.argument:
        raise UserError(f"{kind} {cls.name!r} needs an argument; say {cls.name}:{cls.takes}")


def _device(name: str) -> str:
    """auto, cpu or cuda to cpu or cuda. Raises UserError for cuda without one."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ("auto", "cpu", "cuda"))
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("--device cuda: torch finds no CUDA device here; use --device cpu or auto")
    return "cuda" if name == "auto" and available else "cpu" if name == "auto" else name


def engine() -> str:
    """A hash of the engine's own files: a changed metric or classifier is another run, too."""
    root = Path(cl_bench.__file__).parent
    # Not what tells nothing about numbers, nor what is mapped into the package from other folders.
    elsewhere = {root / name for name in ("cli", "trackers", "strategies", "benchmarks", "reports")}
    elsewhere |= {root / f"{name}.py" for name in _AFTERWARDS}
    files = [path for path in root.rglob("*.py") if not elsewhere & {path, *path.parents}]
    return _digest([path.read_bytes() for path in files])


def source(cls: type) -> str:
    """A hash of what defines `cls`, its bases, and what they import from their own folder, so that an edited
    strategy is another run."""
    ours = [base for base in cls.__mro__ if base.__module__.partition(".")[0] not in sys.stdlib_module_names]
    found: dict[str, Any] = {}
    waiting: list[Any] = list(ours)
    while waiting:
        one = waiting.pop()
        if one.__module__ in found:
            continue
        found[one.__module__] = one
        folder = one.__module__.rpartition(".")[0]
        for value in vars(sys.modules[one.__module__]).values() if one.__module__ in sys.modules else ():
            module = getattr(value, "__module__", None)
            is_definition = inspect.isclass(value) or inspect.isfunction(value)
            if folder and is_definition and str(module).rpartition(".")[0] == folder:
                waiting.append(value)
    return _digest({definition(one) for one in [*ours, *found.values()]})


def definition(cls: Any) -> bytes:
    """The file of a class or function; for one typed into a notebook its source; for a class typed in Python
    its bytecode."""
    try:
        return Path(inspect.getfile(cls)).read_bytes()
    except (OSError, TypeError):
        pass
    try:
        return inspect.getsource(cls).encode()
    except (OSError, TypeError):
        code = [f.__code__ for _, f in sorted(vars(cls).items()) if inspect.isfunction(f)]
        return b"".join(c.co_code + repr(c.co_names).encode() for c in code)


def _digest(contents: Iterable[bytes]) -> str:
    # Of contents, sorted: where something is installed must not matter.
    digests = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:8]
