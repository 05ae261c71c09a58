"""Recipes: published experiments as data, one YAML file each, read strictly.

A recipe names the paper, the protocol in words, the runs, their options at each scale, and the paper's
claims. What it may say are the fields of the dataclasses below; anything else is an error that names file
and key.
Names of strategies, benchmarks and generators are looked up when the recipe is run, so that a recipe may name
one that another package brings.

Recipes are found by entry points: `cl_bench.recipes` names folders, as "package:folder". Nothing is imported.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from cl_bench import strict
from cl_bench.claims import Claim
from cl_bench.errors import UserError, unknown
from cl_bench.rows import EXTRACTOR

SCALES = ("smoke", "cpu", "gpu", "paper")
GROUP = "cl_bench.recipes"

# What `each` may vary besides options.
_NAMES = ("strategy", "benchmark", "generator")


@dataclass(frozen=True)
class Paper:
    """Where the experiment was published. arxiv: its number there."""

    title: str
    authors: str
    year: int
    arxiv: str | None = None

    @property
    def citation(self) -> str:
        return f"{self.authors} {self.year}" + (f", arXiv {self.arxiv}" if self.arxiv else "")


@dataclass(frozen=True)
class Scale:
    """How large the experiment is made.

    time: what it takes with the default seeds and on what, and whether that was measured. says: what verdicts
    at this scale tell of the paper. seeds: default number. benchmark, generator: of runs that name none
    themselves (the generator only of strategies that use one). generator_for: of some strategies, by their
    names, instead. strategies, benchmarks, generators: options by name of what has them; a strategy's
    "generator.steps" is its generator's, there alone. evaluators, extractors: None for the default ones.
    constants: arguments of closed forms.
    """

    time: str
    says: str = ""
    seeds: int = 3
    benchmark: str | None = None
    generator: str | None = None
    generator_for: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    order_seed: int | None = None
    limit: int | None = None
    evaluators: tuple[str, ...] | None = None
    extractors: tuple[str, ...] | None = None
    strategies: dict[str, dict[str, Any]] = field(default_factory=dict)
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    generators: dict[str, dict[str, Any]] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds: {self.seeds}; at least 1")

    def generator_of(self, strategy: str) -> str | None:
        """The generator of runs of `strategy` that name none themselves."""
        return self.generator_for.get(strategy, self.generator)


@dataclass(frozen=True)
class Configuration:
    """One run but for its seed and the scale. options: by name, as after -o."""

    label: str
    strategy: str
    benchmark: str | None
    generator: str | None
    options: dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """One run, or a product of runs. each: a list of values for strategy, benchmark, generator or any option;
    there is a run for every combination, and its label says the values, as in "mixed λ={lambda}"."""

    label: str
    strategy: str | None = None
    benchmark: str | None = None
    generator: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    each: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.strategy is None) == ("strategy" not in self.each):
            raise ValueError("give strategy, once")
        for key, values in self.each.items():
            if not values:
                raise ValueError(f"each.{key} holds no value")
            if key in self.options or (key in _NAMES and getattr(self, key) is not None):
                raise ValueError(f"{key} is given twice")
            if key in _NAMES and not all(isinstance(value, str) for value in values):
                raise ValueError(f"each.{key} must hold names, got {values!r}")

    def configurations(self) -> Iterator[Configuration]:
        """One per combination. Raises UserError for a label that names no value of it."""
        for values in itertools.product(*self.each.values()):
            chosen = dict(zip(self.each, values, strict=True))
            try:
                label = self.label.format(**chosen)
            except (KeyError, IndexError, ValueError):
                raise UserError(
                    f"label {self.label!r} may only name {', '.join(self.each) or 'nothing'} in braces"
                ) from None
            names = {key: chosen.pop(key, getattr(self, key)) for key in _NAMES}
            yield Configuration(label=label, options=self.options | chosen, **names)


@dataclass(frozen=True)
class Recipe:
    """A published experiment. figure: what of the paper it is. protocol: what is done, in words. deviations:
    what differs from the paper, or is not known of it, and what was chosen. figures: metrics to draw over
    tasks; those of the claims where none are named. In metrics "{extractor}" stands for the scale's first."""

    name: str
    paper: Paper
    figure: str
    protocol: str
    scales: dict[str, Scale]
    runs: tuple[Runs, ...]
    claims: tuple[Claim, ...]
    deviations: str = ""
    figures: tuple[str, ...] = ()

    @property
    def configurations(self) -> list[Configuration]:
        return [configuration for runs in self.runs for configuration in runs.configurations()]

    @property
    def _metrics(self) -> list[str]:
        return [*self.figures, *(metric for claim in self.claims for metric in claim.metrics)]

    @property
    def drawn(self) -> list[str]:
        """The metrics to draw."""
        return list(dict.fromkeys(self.figures or [claim.quantity.metric for claim in self.claims]))

    def scale(self, name: str) -> Scale:
        """Raises UserError, with the nearest, for one that it does not have."""
        if name not in self.scales:
            raise UserError(f"recipe {self.name!r}: {unknown('scale', name, self.scales)}")
        return self.scales[name]

    def at(self, scale: str) -> Recipe:
        """The recipe with the extractor of `scale` in its metrics. Raises UserError for an unknown scale."""
        extractors = self.scale(scale).extractors

        def named(metric: str) -> str:
            return metric.replace(EXTRACTOR, extractors[0]) if extractors else metric

        claims = []
        for claim in self.claims:
            asked = claim.quantity
            per = None if asked.per is None else named(asked.per)
            claims.append(replace(claim, quantity=replace(asked, metric=named(asked.metric), per=per)))
        return replace(self, claims=tuple(claims), figures=tuple(map(named, self.figures)))

    def check(self) -> None:
        """Raises UserError, naming the key, for what does not fit together."""
        for name in self.scales:
            if name not in SCALES:
                raise UserError(f"scales: {unknown('scale', name, SCALES)}")
        if not (self.scales and self.runs and self.claims):
            raise UserError("scales, runs and claims must each hold something")
        labels = [configuration.label for configuration in self.configurations]
        for label in labels:
            if labels.count(label) > 1:
                raise UserError(f"runs: the label {label!r} is there twice")
        for name, scale in self.scales.items():
            self._check_names(f"scales.{name}", scale)
            if not scale.extractors and any(EXTRACTOR in metric for metric in self._metrics):
                raise UserError(f"scales.{name}: key 'extractors' is missing, for metrics with {EXTRACTOR}")
            for i, claim in enumerate(self.claims):
                try:
                    claim.check(labels, scale.constants)
                except UserError as error:
                    raise UserError(f"claims[{i}]: {error}") from None

    def _check_names(self, where: str, scale: Scale) -> None:
        """Options of what no run uses would have no effect."""
        runs = self.configurations
        used: dict[str, set[str | None]] = {
            "strategies": {run.strategy for run in runs},
            "benchmarks": {run.benchmark or scale.benchmark for run in runs},
            "generators": {run.generator or scale.generator_of(run.strategy) for run in runs},
            "generator_for": {run.strategy for run in runs},
        }
        for kind, names in used.items():
            known = {name for name in names if name is not None}
            known |= {name.partition(":")[0] for name in known}
            given: dict[str, Any] = getattr(scale, kind)
            for key in given:
                if key not in known:
                    raise UserError(f"{where}.{kind}: no run uses it: {unknown('name', key, known)}")


def options_of(name: str, of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The options given for `name`, or, for "avalanche:EWC", for what stands before the colon."""
    return of.get(name, of.get(name.partition(":")[0], {}))


def read_recipe(path: Path) -> Recipe:
    """The recipe in the file `path`. Raises UserError, naming file and key, for anything wrong with it."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"recipe {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"recipe {path} is not YAML: {error}") from None
    recipe = strict.read(Recipe, values, path.name)
    try:
        if recipe.name != path.stem:
            raise UserError(f"name: {recipe.name!r} must be the name of the file, {path.stem!r}")
        recipe.check()
    except UserError as error:
        raise UserError(f"{path.name}: {error}") from None
    return recipe


def recipe_files() -> dict[str, Path]:
    """All recipes that installed packages bring, by name. Raises UserError for a name taken twice."""
    found: dict[str, Path] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.value):
        package, _, folder = point.value.partition(":")
        spec = importlib.util.find_spec(package)
        for place in (spec and spec.submodule_search_locations) or []:
            for path in sorted((Path(place) / folder).glob("*.yaml")):
                if path.stem in found:
                    raise UserError(f"recipe {path.stem!r} is there twice: {found[path.stem]} and {path}")
                found[path.stem] = path
    return dict(sorted(found.items()))


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`, or in the file of that name. Raises UserError, with the nearest."""
    if name.endswith((".yaml", ".yml")):
        return read_recipe(Path(name))
    files = recipe_files()
    if name not in files:
        raise unknown("recipe", name, files)
    return read_recipe(files[name])
