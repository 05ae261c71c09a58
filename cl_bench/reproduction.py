"""Running a recipe: every run that it names, then its claims judged on what is on disk.

Runs go through `cl_bench.run`, into the same folder as any other run: finished ones are found again,
interrupted ones go on, and two recipes that name the same run share it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cl_bench import closed_forms, registry
from cl_bench.claims import ClosedForm
from cl_bench.config import NO_GENERATOR, Request, resolve
from cl_bench.defaults import DEFAULT_BENCHMARK, DEFAULT_OUTPUT
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.finished_run import Run
from cl_bench.jobs import side_by_side
from cl_bench.processes import launched
from cl_bench.progress import Progress
from cl_bench.quantities import observe
from cl_bench.recipe import Configuration, Recipe, Scale, find_recipe, options_of
from cl_bench.runner import run as run_once
from cl_bench.tracking import chosen_trackers
from cl_bench.verdicts import Judged, judge

RESULTS = "reproduce"


@dataclass(frozen=True)
class Attempt:
    """One run of a recipe. run: None where it failed; problem: why, in a line, or ""; trace: of an error that
    no user caused."""

    label: str
    seed: int
    run: Run | None
    problem: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Reproduction:
    """A recipe that was run. folder: for its results."""

    recipe: Recipe
    scale_name: str
    seeds: int
    folder: Path
    attempts: tuple[Attempt, ...]

    @property
    def scale(self) -> Scale:
        return self.recipe.scales[self.scale_name]

    @property
    def runs(self) -> list[Run]:
        return [attempt.run for attempt in self.attempts if attempt.run is not None]

    @property
    def failed(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.run is None]

    def of(self, label: str) -> list[Run]:
        """The finished runs of a label, by seed."""
        found = [a.run for a in self.attempts if a.label == label and a.run is not None]
        return sorted(found, key=lambda run: run.seed)

    @cached_property
    def judged(self) -> list[Judged]:
        """Every claim of the recipe with its verdict."""
        labels = dict.fromkeys(attempt.label for attempt in self.attempts)
        observed = {label: [observe(run) for run in self.of(label)] for label in labels}
        return [judge(claim, observed, self.scale.constants) for claim in self.recipe.claims]

    def theory(self, metric: str) -> dict[str, list[float]]:
        """What closed forms of the claims give for `metric` after each task, by label."""
        found = {}
        for claim in self.recipe.claims:
            runs = self.of(claim.quantity.run)
            if runs and claim.quantity.metric == metric and claim.plain:
                observation = observe(runs[0])
                stages = range(1, len(observation.seen) + 1)
                form = claim.expected.equals
                assert isinstance(form, ClosedForm)
                found[claim.quantity.run] = [
                    closed_forms.evaluate(
                        form.closed_form,
                        form.arguments,
                        self.scale.constants | {"t": t, "classes": observation.seen[t - 1]},
                    )
                    for t in stages
                ]
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "recipe": self.recipe.name,
            "paper": self.recipe.paper.citation,
            "figure": self.recipe.figure,
            "scale": self.scale_name,
            "seeds": self.seeds,
            "claims": [judged.as_dict() for judged in self.judged],
            "runs": [
                {
                    "label": attempt.label,
                    "seed": attempt.seed,
                    "run": attempt.run.id if attempt.run else None,
                    "path": str(attempt.run.path) if attempt.run else None,
                    "problem": attempt.problem or None,
                }
                for attempt in self.attempts
            ],
        }


def reproduce(
    recipe: Recipe | str,
    scale: str = "smoke",
    seeds: int | None = None,
    *,
    output: str | Path = DEFAULT_OUTPUT,
    data_root: str | Path | None = None,
    jobs: int = 1,
    quiet: bool = False,
    progress: Progress | None = None,
    after: Callable[[Run], None] = lambda _: None,
    track: Sequence[str] = (),
) -> Reproduction:
    """Run all of `recipe` (or the one of that name) at `scale` with seeds 0 … seeds − 1 (None: the scale's).

    A run that fails is kept as a failed attempt and the others go on, unless none could begin. jobs: runs at
    a time; above 1 each is in a process of its own, which knows what installed packages register only. after:
    called with each finished run. track: names of trackers. Raises UserError for an unknown recipe, scale or
    tracker, seeds or jobs below 1, or what keeps every run from beginning.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    recipe, chosen = recipe.at(scale), recipe.scale(scale)
    count = chosen.seeds if seeds is None else seeds
    if count < 1:
        raise UserError(f"--seeds {count}: at least one")
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: at least one")
    if jobs > 1 and launched() > 1:
        raise UserError("--jobs and a launcher of processes do not go together; leave out one of them")
    chosen_trackers(track)
    progress = progress or Progress(quiet)
    _refuse_if_none_can_begin(recipe, chosen, data_root)
    wanted = [(configuration, seed) for seed in range(count) for configuration in recipe.configurations]
    calls = [
        (asked, chosen, seed, Path(output), data_root, progress.quiet or jobs > 1, track)
        for asked, seed in wanted
    ]

    def told(place: int) -> str:
        configuration, seed = wanted[place]
        return f"{configuration.label}, seed {seed}"

    def one_by_one() -> Iterator[tuple[int, Attempt]]:
        for place, call in enumerate(calls):
            progress.say(f"{recipe.name}, {scale}: run {place + 1}/{len(calls)}: {told(place)}")
            yield place, _attempt(*call)

    attempts: dict[int, Attempt] = {}
    for place, attempt in one_by_one() if jobs == 1 else side_by_side(_attempt, calls, jobs):
        attempts[place] = attempt
        if jobs > 1:
            progress.say(f"{recipe.name}, {scale}: {len(attempts)}/{len(calls)} runs ended: {told(place)}")
        if attempt.run is not None:
            after(attempt.run)
        else:
            progress.say(f"failed: {attempt.problem}")
    folder = Path(output) / RESULTS / f"{recipe.name}-{scale}"
    return Reproduction(recipe, scale, count, folder, tuple(attempts[place] for place in sorted(attempts)))


def _refuse_if_none_can_begin(recipe: Recipe, scale: Scale, data_root: str | Path | None) -> None:
    """Raises the UserError of the first run where all have one: data or a device that is not there, say."""
    root, errors = None if data_root is None else str(data_root), []
    for configuration in recipe.configurations:
        try:
            request = Request(**arguments(configuration, scale), data_root=root)
            benchmark = resolve(request).new_benchmark()
            data_set = benchmark.data_set()
            if data_set is not None:
                data_set.files(benchmark.data_root)
            return
        except UserError as error:
            errors.append(error)
    raise errors[0]


def _attempt(
    configuration: Configuration,
    scale: Scale,
    seed: int,
    output: Path,
    data_root: str | Path | None,
    quiet: bool,
    track: Sequence[str],
) -> Attempt:
    try:
        asked = arguments(configuration, scale) | {"data_root": data_root, "track": track}
        run = run_once(**asked, seed=seed, output=output, progress=Progress(quiet))
        return Attempt(configuration.label, seed, run)
    except (UserError, TrainingDiverged) as error:
        return Attempt(configuration.label, seed, None, str(error))
    except Exception as error:
        # Days of other runs must not be lost to a bug in one.
        problem = f"{type(error).__name__}: {error}"
        return Attempt(configuration.label, seed, None, problem, traceback.format_exc())


def arguments(configuration: Configuration, scale: Scale) -> dict[str, Any]:
    """What `cl_bench.run` is called with, but for seed and folders. Raises UserError for an unknown name."""
    strategy = registry.strategies.get(configuration.strategy)
    benchmark_name = configuration.benchmark or scale.benchmark or DEFAULT_BENCHMARK
    generator = configuration.generator
    if generator is None and strategy.uses_generator:
        generator = scale.generator_of(strategy.name)
    used = generator
    if used is None and strategy.uses_generator:
        used = registry.benchmarks.get(benchmark_name).generator
    by_kind = {
        "benchmark": options_of(benchmark_name, scale.benchmarks),
        "generator": options_of(used or NO_GENERATOR, scale.generators),
        # Last, for its "generator.steps" is said of this strategy alone.
        "strategy": options_of(strategy.name, scale.strategies),
    }
    of_scale = {
        key if "." in key else f"{kind}.{key}": value
        for kind, given in by_kind.items()
        for key, value in given.items()
    }
    return {
        "strategy": configuration.strategy,
        "benchmark": benchmark_name,
        "generator": generator,
        "order_seed": scale.order_seed,
        "device": scale.device,
        "limit": scale.limit,
        "evaluators": scale.evaluators,
        "extractors": scale.extractors,
        "options": configuration.options | of_scale,
    }
