"""Runs to the lines of a comparison: runs that differ in nothing but their seed are one line.

Lines on the same data, class order and split are a group; only lines of one group are compared. Each group
has its lower bound (`naive`) and upper bound (`joint`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl_bench.errors import UserError
from cl_bench.finished_run import Run
from cl_bench.options import value_text
from cl_bench.reports import commands
from cl_bench.run_directory import find

LOWER, UPPER = "lower bound", "upper bound"
BOUNDS = {"naive": LOWER, "joint": UPPER}  # where tasks repeat their classes, naive has nothing to learn from
# Options that can bring in data from outside the stream, and their values that bring in none.
STREAM_ONLY: dict[str, dict[str, tuple[Any, ...]]] = {
    "strategy_options": {
        "pretrained": (False,),
        "base": ("task0",),
        "features": ("auto", "pixels", "task0"),
    },
    "generator_options": {"weights": (None,)},
}


@dataclass(frozen=True)
class Line:
    """One configuration. runs: finished, one per seed, by seed; none for a bound that nobody ran.
    options, generator: what tells it from the other lines of its strategy, and external data, as text.
    label: a name of its own, or ""."""

    strategy: str
    runs: tuple[Run, ...]
    options: str = ""
    generator: str = ""
    label: str = ""

    @property
    def role(self) -> str:
        """ "lower bound", "upper bound" or "" for a competitor."""
        return BOUNDS.get(self.strategy, "")

    @property
    def name(self) -> str:
        return self.label or f"{self.strategy} {self.options}".strip()

    @property
    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = self.runs[0].manifest["config"]
        return config


@dataclass(frozen=True)
class Group:
    """What can be compared. title: benchmark and what tells this group from others. notes: what a reader
    must know: runs left out, bounds missing or added, versions that differ."""

    title: str
    num_tasks: int
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def runs(self) -> list[Run]:
        return [run for line in self.lines for run in line.runs]

    @property
    def word(self) -> str:
        """What its tasks are called."""
        return self.runs[0].word


def groups(runs: list[Run]) -> list[Group]:
    """Sort `runs` into groups, add their bounds, and say what is left out."""
    by_key: dict[str, list[Run]] = {}
    for run in runs:
        by_key.setdefault(_group_key(run), []).append(run)
    titles = _titles([members[0] for members in by_key.values()])
    return [_group(title, members) for title, members in zip(titles, by_key.values(), strict=True)]


def progress(run: Run) -> str:
    """ "finished", or "3 of 5 tasks finished"."""
    return "finished" if run.finished else f"{run.done} of {run.num_tasks} tasks finished"


def _group(title: str, members: list[Run]) -> Group:
    notes = [
        f"Left out, unfinished: {run.strategy}, seed {run.seed}, {progress(run)} ({run.path})."
        for run in members
        if not run.finished
    ]
    lines = [_once_per_seed(same, notes) for same in _alike([run for run in members if run.finished])]
    for name, role in BOUNDS.items():
        if members[0].stationary and role == LOWER:
            continue
        if not any(line.strategy == name for line in lines):
            lines.append(_bound(name, role, members, lines, notes))
    lines = _labelled(lines)
    lines.sort(key=lambda line: (line.role != LOWER, line.role == UPPER, line.name, line.generator))
    notes += [*_generator_notes(lines), *_version_notes([run for line in lines for run in line.runs])]
    return Group(title, members[0].num_tasks, tuple(lines), tuple(notes))


def _bound(name: str, role: str, members: list[Run], lines: list[Line], notes: list[str]) -> Line:
    """The line of bound `name` from runs that lie beside `members`; an empty one when there is none."""
    key = _group_key(members[0])
    roots = list(dict.fromkeys(_root(run) for run in members))
    beside = [run for root in roots for run in _runs_below(root) if run.strategy == name]
    found = [
        _once_per_seed(same, [])
        for same in _alike([run for run in beside if run.finished and _group_key(run) == key])
    ]
    if not found:
        notes.append(f"No {role}. Make it with: {commands.bound(name, members, roots[0])}")
        return Line(name, ())
    line = max(found, key=lambda bound: (_closeness(bound, lines), len(bound.runs)))
    many = "run" if len(line.runs) == 1 else "runs"
    notes.append(f"Added the {role}: {len(line.runs)} {many} of {name} found in {roots[0]}.")
    return line


def _root(run: Run) -> Path:
    """The output folder that holds `run`."""
    return run.path.resolve().parents[2]


def _runs_below(root: Path) -> Iterable[Run]:
    for directory in find(root):
        try:
            yield Run(directory)
        except UserError:
            continue  # a damaged run that nobody asked for


def _closeness(bound: Line, lines: list[Line]) -> int:
    """How many options `bound` shares with the line most like it."""
    return max((len(_settings(bound).items() & _settings(line).items()) for line in lines), default=0)


def _settings(line: Line) -> dict[str, str]:
    """All that was chosen but the strategy's name and the seed, as text."""
    config = line.config
    flat = {key: json.dumps(config.get(key)) for key in ("generator", "device")}
    for kind in ("strategy", "generator"):
        flat |= {f"{kind}.{key}": json.dumps(v) for key, v in config.get(f"{kind}_options", {}).items()}
    return flat


def _group_key(run: Run) -> str:
    config = run.manifest["config"]
    chosen = [config.get(key) for key in ("benchmark", "benchmark_options", "order_seed", "limit")]
    return json.dumps([*chosen, run.manifest.get("data", {}).get("fingerprint")], sort_keys=True)


def _line_key(run: Run) -> str:
    # Evaluators look, they do not touch; a plug-in's code is in the versions.
    left_out = {"seed", "evaluators", "ci", "plugins", "data_root"}
    chosen = {key: value for key, value in run.manifest["config"].items() if key not in left_out}
    return json.dumps(chosen, sort_keys=True)


def _alike(runs: list[Run]) -> list[list[Run]]:
    """Runs that may be averaged: one configuration, and the same version of all code they both used."""
    alike: list[list[Run]] = []
    for run in runs:
        for members in alike:
            if _line_key(run) == _line_key(members[0]) and all(_same_code(run, m) for m in members):
                members.append(run)
                break
        else:
            alike.append([run])
    return alike


def _same_code(a: Run, b: Run) -> bool:
    ours, theirs = a.manifest["versions"], b.manifest["versions"]
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def _once_per_seed(runs: list[Run], notes: list[str]) -> Line:
    """A line of `runs`. Two with one seed differ in evaluators only: the one with more rows counts."""
    by_seed: dict[int, Run] = {}
    for run in runs:
        other = by_seed.get(run.seed)
        if other is None:
            by_seed[run.seed] = run
            continue
        more, less = (run, other) if len(run.rows) > len(other.rows) else (other, run)
        by_seed[run.seed] = more
        notes.append(f"Left out, same configuration and seed as {more.path.name}: {less.path}.")
    return Line(runs[0].strategy, tuple(by_seed[seed] for seed in sorted(by_seed)))


def _labelled(lines: list[Line]) -> list[Line]:
    """`lines` with the text that tells each from the others."""
    labelled = []
    for line in lines:
        if not line.runs:
            labelled.append(line)
            continue
        same_strategy = [o for o in lines if o.runs and o.strategy == line.strategy]
        same_generator = [
            o for o in same_strategy if o.config.get("generator") == line.config.get("generator")
        ]
        options = _differing(line, same_strategy, "strategy_options")
        generator = _differing(line, same_generator, "generator_options")
        if len({o.config.get("device") for o in same_strategy}) > 1:
            options.append(f"device={line.config.get('device')}")
        twins = [o for o in same_strategy if _line_key(o.runs[0]) == _line_key(line.runs[0])]
        if len(twins) > 1:
            options += _code(line, twins)
        name = str(line.config.get("generator", ""))
        labelled.append(Line(line.strategy, line.runs, " ".join(options), " ".join([name, *generator])))
    return labelled


def _generator_notes(lines: list[Line]) -> list[str]:
    """A note for each generator that not all strategies have with the same options."""
    by_generator: dict[str, list[Line]] = {}
    for line in lines:
        if line.runs:
            by_generator.setdefault(str(line.config.get("generator")), []).append(line)
    notes = []
    for generator, members in by_generator.items():
        keys = differing(members, "generator_options")
        if not keys or len({line.strategy for line in members}) == 1:
            continue
        having: dict[str, list[str]] = {}
        for line in members:
            chosen = line.config.get("generator_options", {})
            text = options_text({key: chosen[key] for key in sorted(keys & chosen.keys())})
            having.setdefault(" ".join(text), []).append(line.name)
        found = "; ".join(f"{text} ({', '.join(names)})" for text, names in having.items())
        notes.append(f"Not all strategies have {generator} with the same options: {found}.")
    return notes


def _external(line: Line, kind: str) -> set[str]:
    """The options by which `line` has seen data from outside the stream."""
    chosen = line.config.get(kind, {})
    return {key for key, without in STREAM_ONLY[kind].items() if key in chosen and chosen[key] not in without}


def _differing(line: Line, others: list[Line], kind: str) -> list[str]:
    """The options of `line` that are not the same in all `others`, and those that bring in external data,
    which no reader may miss, as key=value."""
    keys = differing([line, *others], kind) | _external(line, kind)
    return options_text({key: value for key, value in line.config.get(kind, {}).items() if key in keys})


def differing(lines: list[Line], kind: str) -> set[str]:
    """The options that not all of `lines` have alike."""
    missing = object()
    found = [line.config.get(kind, {}) for line in lines]
    keys = {key for options in found for key in options}
    return {key for key in keys if any(o.get(key, missing) != found[0].get(key, missing) for o in found)}


def options_text(options: dict[str, Any]) -> list[str]:
    """Options as key=value; the share of synthetic data goes without saying beside λ."""
    derived = {"synthetic_fraction"} if "lambda" in options else set()
    return [f"{key}={value_text(value)}" for key, value in options.items() if key not in derived]


def _code(line: Line, twins: list[Line]) -> list[str]:
    """The version that tells `line` from all its `twins`, which have the same configuration; all versions
    that differ where it takes several."""
    versions = line.runs[0].manifest["versions"]
    others = [run.manifest["versions"] for twin in twins if twin is not line for run in twin.runs]
    differ = [name for name, v in versions.items() if any(other.get(name, v) != v for other in others)]
    alone = [
        name for name in differ if all(other.get(name, versions[name]) != versions[name] for other in others)
    ]
    return [f"{name.rpartition(':')[2]}@{versions[name]}" for name in alone[:1] or differ]


def extractor_notes(runs: Iterable[Run]) -> list[str]:
    """A note for each extractor that is not the same in all runs on the same data."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        for name, about in (run.manifest.get("extractors") or {}).items():
            hashes.setdefault((name, _group_key(run)), set()).add(str(about["hash"]))
    return [
        f"Extractor {name} is not the same in all runs; distances in its features do not compare."
        for name in dict.fromkeys(name for (name, _), found in hashes.items() if len(found) > 1)
    ]


def _version_notes(runs: list[Run]) -> list[str]:
    """A note for each package or component that the runs have in different versions."""
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for name, version in run.manifest["versions"].items():
            found.setdefault(name, {}).setdefault(version, 0)
            found[name][version] += 1
    return extractor_notes(runs) + [
        f"Different versions of {name}: "
        + ", ".join(
            f"{version} ({count} {'run' if count == 1 else 'runs'})" for version, count in counts.items()
        )
        + ". Part of a difference may come from this."
        for name, counts in found.items()
        if len(counts) > 1
    ]


def _titles(firsts: list[Run]) -> list[str]:
    """A title per group, from one run of each: the benchmark, and what differs between groups of it."""
    titles = []
    for run in firsts:
        config = run.manifest["config"]
        peers = [other.manifest for other in firsts if other.benchmark == run.benchmark]
        parts = [f"{run.num_tasks} tasks" if run.num_tasks != 1 else "1 task"]
        for key in ("order_seed", "limit"):
            if config.get(key) is not None:
                parts.append(f"{key.replace('_', ' ')} {config[key]}")
        parts += [
            f"{key}={value_text(value)}"
            for key, value in config.get("benchmark_options", {}).items()
            if any(peer["config"].get("benchmark_options", {}).get(key) != value for peer in peers)
        ]
        prints = [str(peer.get("data", {}).get("fingerprint", "")) for peer in peers]
        own = str(run.manifest.get("data", {}).get("fingerprint", ""))
        chosen = [_group_key_without_data(peer) for peer in peers]
        if chosen.count(_group_key_without_data(run.manifest)) > 1 and len(set(prints)) > 1:
            parts.append(f"data {own[:12]}")
        titles.append(f"{run.benchmark}, {', '.join(parts)}")
    return titles


def _group_key_without_data(manifest: dict[str, Any]) -> str:
    config = manifest["config"]
    chosen = [config.get(key) for key in ("benchmark", "benchmark_options", "order_seed", "limit")]
    return json.dumps(chosen, sort_keys=True)
