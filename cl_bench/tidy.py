"""Many runs as one tidy frame: a number a row, and beside it what its run is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.finished_run import COLUMNS as ROWS
from cl_bench.finished_run import Run, find_runs
from cl_bench.options import value_text

if TYPE_CHECKING:
    import pandas as pd

# What a run's rows do not say themselves stands after their first three columns, and last.
_ABOUT = {
    "generator": "str",
    "options": "str",
    "real": "float64",
    "lambda": "float64",
    "synthetic_fraction": "float64",
}
COLUMNS = {
    **{name: ROWS[name] for name in ("run", "strategy", "benchmark")},
    **_ABOUT,
    **{name: kind for name, kind in ROWS.items() if name not in ("run", "strategy", "benchmark")},
    "finished": "bool",
}
_MIX = ("real", "lambda", "synthetic_fraction")


def load_runs(folder: str | Path = DEFAULT_OUTPUT) -> pd.DataFrame:
    """All numbers of all runs below `folder` as one tidy frame; raises UserError when there are no runs.

    A row a number, of finished tasks only; columns, with their types:

    run, strategy, benchmark, generator     text; run is the id
    options                                 text: what was chosen, as typed after -o, where runs of the same
                                            strategy, benchmark and generator differ, and versions of code
                                            that do; "" where none do
    real, lambda, synthetic_fraction        float64, the mix of strategies with such options, else NaN
    seed                                    int64
    after_task                              int64: the last task learned, from 0; −1 before the first
    on_task, class                          Int64: what the number is about, <NA> for all of them
    metric, value                           text and float64, NaN where undefined
    n                                       int64: samples that it rests on
    seconds                                 float64: what computing it took
    finished                                bool: whether the run is, all its tasks
    """
    return tidy(find_runs(folder))


def tidy(runs: Sequence[Run]) -> pd.DataFrame:
    """The numbers of `runs`, at least one, as `load_runs` has them."""
    import numpy as np
    import pandas as pd

    parts, about = [], []
    for run, options in zip(runs, _options(runs), strict=True):
        done = run.done
        rows = run.rows
        parts.append(rows[rows["after_task"] < done])
        about.append(
            {
                "generator": str(run.manifest["config"].get("generator", "none")),
                "options": options,
                **_mix(run),
                "finished": done == run.num_tasks,
            }
        )
    frame = pd.concat(parts, ignore_index=True)
    lengths = [len(part) for part in parts]
    for name in ("generator", "options", *_MIX, "finished"):
        frame[name] = np.repeat([facts[name] for facts in about], lengths)
    return frame[list(COLUMNS)].astype(COLUMNS)


def _mix(run: Run) -> dict[str, float]:
    options = run.manifest["config"].get("strategy_options", {})
    found = {name: options.get(name) for name in _MIX}
    return {name: math.nan if value is None else float(value) for name, value in found.items()}


def _options(runs: Sequence[Run]) -> list[str]:
    """Per run, what tells it from others of its strategy, benchmark and generator, as key=value."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for i, run in enumerate(runs):
        kind = (run.strategy, run.benchmark, str(run.manifest["config"].get("generator")))
        kinds.setdefault(kind, []).append(i)
    texts = [""] * len(runs)
    for alike in kinds.values():
        chosen = {i: _chosen(runs[i]) for i in alike}
        versions = {i: _versions(runs[i]) for i in alike}
        # Code that only some of them used, as another evaluator's, does not tell them apart.
        used = set.intersection(*(set(own) for own in versions.values()))
        shared = [{name: own[name] for name in own if name in used} for own in versions.values()]
        keys, names = _differing(list(chosen.values())), _differing(shared)
        for i in alike:
            words = [f"{key}={chosen[i][key]}" for key in keys if key in chosen[i]]
            texts[i] = " ".join([*words, *(f"{name}@{versions[i][name]}" for name in names)])
    return texts


def _chosen(run: Run) -> dict[str, str]:
    """All that was chosen but the seed and who looks on, as text by option."""
    config = run.manifest["config"]
    found: dict[str, Any] = dict(config.get("strategy_options", {}))
    if "lambda" in found:
        found.pop("synthetic_fraction", None)  # says the same
    for kind in ("generator", "benchmark"):
        found |= {f"{kind}.{key}": value for key, value in config.get(f"{kind}_options", {}).items()}
    found |= {key: config[key] for key in ("order_seed", "limit", "device") if config.get(key) is not None}
    return {key: value_text(value) for key, value in found.items()}


def _versions(run: Run) -> dict[str, str]:
    return {name: str(version) for name, version in run.manifest["versions"].items()}


def _differing(chosen: Sequence[dict[str, str]]) -> list[str]:
    """The keys that not all of `chosen` have with the same value, in order of appearance."""
    keys = dict.fromkeys(key for own in chosen for key in own)
    return [key for key in keys if len({own.get(key) for own in chosen}) > 1]
