"""index.html: one file that opens anywhere, offline; pictures, points and scripts are inside it.

It stays below 5 MB: points and pictures of the tasks have budgets of bytes, which all runs on the page share,
and are thinned or compressed until they fit. Captions say so. A policy in the page forbids all requests, and
all scripts and styles but ours, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import cl_bench
from cl_bench.finished_run import Run
from cl_bench.options import value_text
from cl_bench.reports import commands, embedding, label_matrix, numbers, per_task
from cl_bench.reports.cells import Table, number, with_interval
from cl_bench.reports.columns import ACC, DEPTH, FD, OTDD, decimals, ideal
from cl_bench.reports.content import Comparison, Content
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.lines import progress
from cl_bench.reports.pictures import Picture, lighter
from cl_bench.reports.scatter import Scatter, scatter
from cl_bench.reports.task_pictures import UMAP, TaskPictures, shown, task_pictures
from cl_bench.reports.where_time_went import Timeline, timeline

__all__ = ["Picture", "render"]

TEMPLATES = Path(__file__).parent / "templates"
PIXELS_PER_INCH = 128  # of figures for the page alone, so that their letters are as large as the captions'
SCRIPTS = ("theme.js", "scatter.js")
KEY_METRICS = (ACC, "forgetting_class_il", OTDD, FD, "cas", DEPTH)
# Bytes of the page for points of UMAPs and pictures of tasks, those of all runs together, and for figures.
POINT_BYTES, PICTURE_BYTES, FIGURE_BYTES = 2_200_000, 1_500_000, 700_000


@dataclass(frozen=True)
class KeyFigure:
    """A number large enough to be read first. beside: its floor or ceiling, or ""."""

    heading: str
    value: str
    beside: str
    doc: str


class RunSection:
    """One run on the page.

    name: of its strategy, with the options that tell it from others on the page. tables: its own, empty when
    they are on top of the page already. every_task: whether all its tasks are shown, ten of them where there
    are more, or the last one only. share: of the page's budgets.
    """

    def __init__(
        self, run: Run, name: str, tables: list[Table], every_task: bool, share: float = 1.0
    ) -> None:
        self.run, self.name, self.tables, self._every_task, self._share = run, name, tables, every_task, share
        self._done = run.done
        self._shown = shown(self._done, every_task)

    @property
    def title(self) -> str:
        return f"{self.name} on {self.run.benchmark}, seed {self.run.seed}"

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

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know of a run that an older version made."""
        found = []
        made = str(self.run.manifest["versions"].get("cl-bench", "unknown")).partition("+")[0]
        if made != cl_bench.__version__:
            found.append(
                f"Made by cl-bench {made}, shown by {cl_bench.__version__}: what it lacks is left out."
            )
        if any(a and not b for a, b in zip(self._has(UMAP), self._has(embedding.FILE), strict=True)):
            found.append(
                "This run kept no points of its UMAPs, so they are pictures here. To look at single samples: "
                f"cl-bench evaluate {self.run.path} --evaluators umap"
            )
        return found

    @cached_property
    def timeline(self) -> Timeline | None:
        return timeline(self.run)

    @cached_property
    def scatter(self) -> Scatter | None:
        """The UMAPs, to be looked at point by point."""
        read = {t: embedding.read(self.run.directory.task(t)) for t in self._shown}
        found = {t: one for t, one in read.items() if one is not None}
        names = self._class_names
        labels = 1 + max((int(one.y.max()) for one in found.values()), default=-1)
        names += map(str, range(len(names), labels))
        titles = {t: f"after {self.run.word} {t + 1} of {self.run.num_tasks}" for t in found}
        return scatter(found, names, titles, int(POINT_BYTES * self._share))

    @cached_property
    def tasks(self) -> list[TaskPictures]:
        """The tasks shown of which there is something to see."""
        return self._pictures[0]

    @property
    def _class_names(self) -> list[str]:
        return [str(name) for name in self.run.manifest.get("class_names", [])]

    @cached_property
    def label_maps(self) -> Picture | None:
        """Distances of classes after each task shown; drawn where the page is about this run alone."""
        read = {t: label_matrix.read(self.run.directory.task(t)) for t in self._shown if self._every_task}
        found = {t: matrix for t, matrix in read.items() if matrix is not None}
        figure = label_matrix.maps(found, self._class_names, self.run.word)
        if figure is None:
            return None
        width = round(figure.get_size_inches()[0] * PIXELS_PER_INCH)
        return Picture(
            label_matrix.caption(found, self.run.word), label_matrix.png(figure), wide=True, width=width
        )

    @property
    def has_pictures(self) -> bool:
        return bool(self.scatter or self.label_maps or self.tasks or self.left_out)

    @cached_property
    def left_out(self) -> list[str]:
        """What is on disk and not on this page, as sentences."""
        found = list(self._pictures[1])
        if self._every_task and len(self._shown) < self._done:
            numbers_shown = ", ".join(str(t + 1) for t in self._shown)
            found.append(f"Of {self._done} {self.run.word}s these are shown: {numbers_shown}.")
        if self.scatter is None and any(self._has(embedding.FILE)):
            found.append(f"UMAPs are left out, to keep this page light: see cl-bench report {self.run.path}")
        return found

    @cached_property
    def _pictures(self) -> tuple[list[TaskPictures], list[str]]:
        return task_pictures(self.run, self._shown, int(PICTURE_BYTES * self._share))

    def _has(self, name: str) -> list[bool]:
        """Whether each of the tasks shown has this file."""
        return [(self.run.directory.task(t) / name).is_file() for t in self._shown]


def render(content: Content, pictures: list[Picture]) -> str:
    """The page. Whatever a run's files say is text here, never markup."""
    single = len(content.sections) == 1
    share = 1 / max(len(content.sections), 1)
    sections = [
        RunSection(run, name, [] if single else per_task.tables(run), single, share)
        for name, run in _named(content)
    ]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, scripts = _file("page.css"), [_file(name) for name in SCRIPTS]
    template = environment.get_template("page.html.j2")
    return template.render(
        content=content,
        pictures=lighter(pictures, FIGURE_BYTES) or [],
        sections=sections,
        single=single,
        contents=_contents(content, pictures, sections),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(style, scripts),
    )


def _named(content: Content) -> list[tuple[str, Run]]:
    """The runs with their names, in the order of the lines that they are compared as, and of their seeds."""
    groups = content.groups if isinstance(content, Comparison) else ()
    lines = [(line.name, run) for group in groups for line in group.lines for run in line.runs]
    place = {run.path: (i, name) for i, (name, run) in enumerate(lines)}
    found = [(*place.get(run.path, (len(lines), run.strategy)), run) for run in content.sections]
    return [(name, run) for _, name, run in sorted(found, key=lambda entry: entry[0])]


def _file(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, scripts: Sequence[str]) -> str:
    """Pictures inside the page, our style and our scripts, and nothing else."""
    hashed = " ".join(map(_hash, scripts))
    return f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {hashed}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _contents(
    content: Content, pictures: Sequence[Picture], sections: Sequence[RunSection]
) -> list[tuple[str, str]]:
    """Anchor and text of each part that the page has."""
    one = sections[0] if len(sections) == 1 else None
    parts = {
        "tables": bool(content.tables),
        "figures": bool(pictures),
        "metrics": bool(content.definitions),
        "pictures": one is not None and one.has_pictures,
        "time": one is not None and one.timeline is not None,
        "origin": one is not None,
        "runs": len(sections) > 1,
    }
    return [(name, name.capitalize()) for name, there in parts.items() if there]


def _options(options: dict[str, Any] | None) -> str:
    return ", ".join(f"{key}={value_text(value)}" for key, value in (options or {}).items())


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _count(value: Any, what: str) -> str:
    return f"{value} {what}" if value else ""


def _extractor(about: dict[str, Any]) -> str:
    trained = ""
    if about.get("n"):
        trained = f", trained on {about['n']} real samples, {number(about.get('accuracy'))} of others right"
    return f"{about.get('title')}{trained}; SHA-256 {about.get('hash')}"
