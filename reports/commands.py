"""The command lines that make a run again, or make one that is missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cl_bench.data_root import data_root
from cl_bench.defaults import DEFAULT_OUTPUT
from cl_bench.finished_run import Run
from cl_bench.options import value_text


def repeat(run: Run) -> str:
    """The command whose configuration is exactly that of `run`: every option spelled out, so that a default
    that changes later cannot change it."""
    config = run.manifest["config"]
    words = ["--strategy", config["strategy"], "--benchmark", config["benchmark"]]
    words += ["--generator", config.get("generator", "none"), "--seed", config.get("seed", 0)]
    words += [*_setting(config), "--device", config.get("device", "auto")]
    if config.get("evaluators"):
        words += ["--evaluators", ",".join(config["evaluators"])]
    if config.get("extractors"):
        words += ["--extractors", ",".join(config["extractors"])]
    if config.get("ci"):
        words.append("--ci")
    words += _plugins(config.get("plugins", []))
    words += _data_root(config)
    for kind in ("strategy", "benchmark", "generator"):
        words += _options(kind, config.get(f"{kind}_options", {}))
    return _join(words)


def bound(name: str, like: list[Run], root: Path) -> str:
    """The command that makes a run of strategy `name` on what the runs `like`, of one group below `root`,
    were run on."""
    config = like[0].manifest["config"]
    words = ["--strategy", name, "--benchmark", config["benchmark"], *_setting(config)]
    words += _plugins(plugin for run in like for plugin in run.manifest["config"].get("plugins", []))
    words += _data_root(config)
    words += _options("benchmark", config.get("benchmark_options", {}))
    if root.resolve() != Path(DEFAULT_OUTPUT).resolve():
        words += ["--output", str(root)]
    return _join(words)


def _setting(config: Mapping[str, Any]) -> list[Any]:
    words: list[Any] = []
    for key in ("order_seed", "limit"):
        if config.get(key) is not None:
            words += [f"--{key.replace('_', '-')}", config[key]]
    return words


def _data_root(config: Mapping[str, Any]) -> list[Any]:
    """Only where it is not what would be looked in anyway."""
    root = config.get("data_root")
    return ["--data-root", root] if root is not None and root != str(data_root()) else []


def _plugins(plugins: Iterable[str]) -> list[str]:
    return [word for plugin in dict.fromkeys(plugins) for word in ("--plugin", plugin)]


def _options(kind: str, options: Mapping[str, Any]) -> list[str]:
    return [word for key, value in options.items() for word in ("-o", f"{kind}.{key}={value_text(value)}")]


def _join(words: Iterable[Any]) -> str:
    return shlex.join(["cl-bench", "run", *map(str, words)])
