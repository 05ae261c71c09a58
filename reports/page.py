"""index.html: one file that opens anywhere, offline; pictures are inside it as data URIs."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cl_bench.finished_run import Run
from cl_bench.reports import commands, numbers, per_task
from cl_bench.reports.columns import ACC, DEPTH, FD, OTDD, decimals, ideal
from cl_bench.reports.content import Content
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import progress
from cl_bench.reports.cells import Table, number, with_interval

TEMPLATES = Path(__file__).parent / "templates"
PICTURES = {
    "samples.png": "Samples: real (left) and replay (right), a row per class",
    "umap.png": "UMAP of features: real (dots) and replay (crosses)",
}
WIDE = {"samples.png"}
KEY_METRICS = (ACC, "forgetting_class_il", OTDD, FD, "cas", DEPTH)
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A PNG and how to read it. wide: one that a phone should scroll rather than shrink."""

    caption: str
    png: bytes
    wide: bool = False

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True)
class KeyFigure:
    """A number large enough to be read first. beside: its floor or ceiling, or ""."""

    heading: str
    value: str
    beside: str
    doc: str


@dataclass(frozen=True)
class TaskPictures:
    """What the evaluators drew after one task; number: from 1."""

    number: int
    classes: str
    pictures: list[Picture]


class RunSection:
    """One run on the page. tables: its own, empty when they are on top of the page already. every_task:
    whether all its pictures are wanted or only the last task's."""

    def __init__(self, run: Run, tables: list[Table], every_task: bool) -> None:
        self.run, self.tables, self._every_task = run, tables, every_task

    @property
    def title(self) -> str:
        return f"{self.run.strategy} on {self.run.benchmark}, seed {self.run.seed}"

    @property
    def progress(self) -> str:
        return progress(self.run)

    @property
    def command(self) -> str:
        return commands.repeat(self.run)

    @cached_property
    def key_figures(self) -> list[KeyFigure]:
        """The last finished task's most telling numbers, as far as measured."""
        overall, known = numbers.overall(self.run), Definitions([self.run])
        found = []
        for name in KEY_METRICS:
            if overall.empty or name not in overall.columns:
                continue
            value = float(overall[name].iloc[-1])
            beside = ideal(name, overall.columns)
            text = ""
            if beside is not None:
                perfect = float(overall[beside[0]].iloc[-1])
                text = f"{beside[1]} {number(perfect, decimals(name, perfect))}"
            ends = numbers.ends(overall, len(overall) - 1, name)
            text = ", ".join(filter(None, [with_interval("", ends, decimals(name, value)).strip(), text]))
            found.append(
                KeyFigure(known[name].heading, number(value, decimals(name, value)), text, known[name].doc)
            )
        return found

    @cached_property
    def facts(self) -> list[tuple[str, str]]:
        """What the manifest says, as (heading, text) without empty ones."""
        manifest = self.run.manifest
        config, data = manifest["config"], manifest.get("data") or {}
        environment = manifest.get("environment") or {}
        costs = self.run.costs
        seconds = sum(cost.get("seconds_training", 0) + cost.get("seconds_evaluation", 0) for cost in costs)
        evaluations = sum(cost.get("network_evaluations") or 0 for cost in costs)
        replay = f", {evaluations:,} network evaluations for replay" if evaluations else ""
        stored = sum(cost.get("stored_bytes", 0) for cost in costs)
        hardware = [environment.get("device"), _count(environment.get("processors"), "processors")]
        hardware += [_count(environment.get("threads"), "threads"), environment.get("platform")]
        facts: list[tuple[str, Any]] = [
            ("strategy", config["strategy"]),
            ("strategy options", _options(config.get("strategy_options"))),
            ("paper", manifest.get("paper")),
            ("benchmark", config["benchmark"]),
            ("benchmark options", _options(config.get("benchmark_options"))),
            ("generator", config.get("generator")),
            ("generator options", _options(config.get("generator_options"))),
            ("seed", config.get("seed")),
            (
                "order seed",
                "the data set's own order" if config.get("order_seed") is None else config["order_seed"],
            ),
            ("limit per class", config.get("limit")),
            ("data", data.get("source")),
            ("data fingerprint", data.get("fingerprint")),
            *(
                (f"extractor {name}", _extractor(about))
                for name, about in (manifest.get("extractors") or {}).items()
            ),
            ("hardware", ", ".join(str(part) for part in hardware if part)),
            ("python", environment.get("python")),
            ("packages", _versions({**environment.get("packages", {}), **self._versions(False)})),
            ("components", _versions(self._versions(True))),
            ("git revision", manifest.get("git")),
            ("created", manifest.get("created")),
            ("cost", f"{seconds:.0f} s{replay}, {stored / 1e6:.1f} MB stored" if costs else ""),
            ("run", self.run.id),
            ("folder", self.run.path),
        ]
        return [(heading, str(text)) for heading, text in facts if text not in (None, "")]

    def _versions(self, components: bool) -> dict[str, str]:
        return {k: v for k, v in self.run.manifest["versions"].items() if (":" in k) == components}

    @property
    def tasks(self) -> Iterator[TaskPictures]:
        """Tasks with pictures on disk, one at a time."""
        done = self.run.directory.finished_tasks()
        for t in range(done) if self._every_task else range(max(done - 1, 0), done):
            folder = self.run.directory.task(t)
            pictures = [
                Picture(caption, png, name in WIDE)
                for name, caption in PICTURES.items()
                if (folder / name).is_file() and (png := (folder / name).read_bytes()).startswith(_PNG)
            ]
            if pictures:
                yield TaskPictures(t + 1, per_task.class_names(self.run, t, None), pictures)


def render(content: Content, pictures: list[Picture]) -> str:
    """The page. Whatever a run's files say is text here, never markup."""
    single = len(content.sections) == 1
    sections = [RunSection(run, [] if single else per_task.tables(run), single) for run in content.sections]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("page.html.j2")
    return template.render(content=content, pictures=pictures, sections=sections, single=single)


def _options(options: dict[str, Any] | None) -> str:
    return ", ".join(f"{key}={commands.value_text(value)}" for key, value in (options or {}).items())


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _count(value: Any, what: str) -> str:
    return f"{value} {what}" if value else ""


def _extractor(about: dict[str, Any]) -> str:
    trained = ""
    if about.get("n"):
        trained = f", trained on {about['n']} real samples, {number(about.get('accuracy'))} of others right"
    return f"{about.get('title')}{trained}; SHA-256 {about.get('hash')}"
