"""Pages of the site that are made when it is built, from what is registered and from files beside docs/.

A card per strategy, benchmark, generator, evaluator and extractor, with all that the code says of it; README,
CONTRIBUTING, CHANGELOG and the example's README as pages. Nothing of this is written twice.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from cl_bench import registry
from cl_bench.options import describe

ROOT = Path(__file__).parents[2]

FUNCTION = re.compile(r"^<!-- function ([\w.]+):(\w+) -->$", re.M)

# Pages made of files outside docs/.
FILES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "example-package.md": "examples/cl-bench-reservoir/README.md",
}

# Section of the navigation: folder of its cards, kind, and what its overview says first.
SECTIONS = {
    "Strategies": (
        "strategies",
        "strategy",
        "A strategy decides what comes back of earlier tasks. Choose one with `--strategy`; options go by "
        "name, `-o lambda=0.5`.",
    ),
    "Benchmarks": (
        "benchmark-cards",
        "benchmark",
        "A benchmark is real data, cut into tasks. Choose one with `--benchmark`.",
    ),
    "Generators": (
        "generator-cards",
        "generator",
        "A generator is the model that replays. Choose one with `--generator`; its options are "
        "`-o generator.KEY=VALUE`.",
    ),
    "Evaluators": (
        "evaluators",
        "evaluator",
        "An evaluator turns what a run left behind into numbers. Choose some with `--evaluators`.",
    ),
    "Extractors": (
        "extractors",
        "extractor",
        "An extractor gives the features that distances are taken in. Choose some with `--extractors`.",
    ),
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the cards into the navigation, after the pages that are written by hand."""
    for section in config.nav or []:
        (title,) = section
        if title in SECTIONS:
            folder, kind, _ = SECTIONS[title]
            names = registry.ALL[kind].names()
            section[title] = [*section[title], *({name: f"{folder}/{name}.md"} for name in names)]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {uri: page_of(path) for uri, path in FILES.items()}
    for title, (folder, kind, text) in SECTIONS.items():
        names = registry.ALL[kind].names()
        pages[f"{folder}/index.md"] = overview(title, kind, text, names)
        pages |= {f"{folder}/{name}.md": card(kind, registry.ALL[kind].get(name)) for name in names}
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """`<!-- function MODULE:NAME -->`, for what lives in a folder that mkdocstrings does not see mapped into
    the package."""
    return FUNCTION.sub(lambda mark: function(mark[1], mark[2]), markdown)


def function(module: str, name: str) -> str:
    found = getattr(importlib.import_module(module), name)
    signature = str(inspect.signature(found)).replace("'", "")
    told = escaped(inspect.getdoc(found) or "")
    return f"### `{module}.{name}`\n\n```python\n{name}{signature}\n```\n\n{told}"


def page_of(path: str) -> str:
    """A file of the repository as a page: links go where the site has their targets."""
    text = (ROOT / path).read_text(encoding="utf-8")
    targets = {source: uri for uri, source in FILES.items()}
    targets |= {str(Path(source).parent): uri for source, uri in targets.items() if "/" in source}

    def link(found: re.Match[str]) -> str:
        target = found[1].removeprefix("docs/")
        return f"]({targets.get(target, target)}{found[2] or ''})"

    return re.sub(r"\]\(([^)#:\s]+)(#[^)]*)?\)", link, text)


def overview(title: str, kind: str, text: str, names: list[str]) -> str:
    """A table of all, a line each."""
    lines = [f"# {title}", "", text, "", f"| {kind} | |", "|---|---|"]
    lines += [f"| [`{name}`]({name}.md) | {escaped(registry.ALL[kind].summary(name))} |" for name in names]
    return "\n".join(lines) + "\n"


def card(kind: str, cls: type[Any]) -> str:
    """All that the code says of `cls`: facts, metrics, options, and the text that opens its file."""
    lines = [f"# {cls.name}", "", escaped(inspect.getdoc(cls) or ""), ""]
    lines += table(("", ""), [(head, escaped(text)) for head, text in facts(kind, cls) if text])
    metrics = getattr(cls, "metrics", {})
    if metrics:
        arrows = {True: "↑", False: "↓", None: ""}
        rows = [
            (f"`{n}`", arrows[m.higher_is_better], escaped(m.doc), m.interval) for n, m in metrics.items()
        ]
        rows = [tuple(cell.replace("{extractor}", "EXT") for cell in row) for row in rows]
        lines += ["## Metrics", "", *table(("metric", "good", "definition", "interval"), rows)]
    options = describe(cls.Options) if hasattr(cls, "Options") else []
    if options:
        rows = [
            (f"`{o.key}`", "required" if o.required else f"`{spelled(o.default)}`", escaped(o.help))
            for o in options
        ]
        lines += ["## Options", "", *table(("option", "default", "meaning"), rows)]
    if kind == "strategy" and cls.name == "avalanche":
        lines += avalanche_methods()
    told = inspect.getdoc(sys.modules[cls.__module__])
    lines += ["## In full", "", "The text that opens its file:", "", "```text", told or "", "```", ""]
    return "\n".join(lines)


def facts(kind: str, cls: type[Any]) -> list[tuple[str, str]]:
    """(heading, text) of what is known besides options; empty texts are left out by the caller."""
    needs = getattr(cls, "needs", "")
    defaults = getattr(cls, "generator_defaults", {})
    given = ", ".join(f"{key}={spelled(value)}" for key, value in defaults.items())
    generator = getattr(cls, "default_generator", None) or getattr(cls, "generator", "") or ""
    found = [
        ("paper", getattr(cls, "paper", "")),
        ("data", getattr(cls, "source", "")),
        ("features", getattr(cls, "title", "") if kind == "extractor" else ""),
        ("generator", f"{generator} with {given}" if given else generator),
        ("needs", needs if isinstance(needs, str) else ", ".join(sorted(needs))),
        ("stores besides its networks", getattr(cls, "stores", "")),
        ("costs besides training them", getattr(cls, "cost", "")),
        ("limits", getattr(cls, "limits", "")),
        ("transforms", getattr(cls, "transforms", "")),
        ("version", str(getattr(cls, "version", 1))),
    ]
    if kind == "evaluator":
        found.append(("judges", "every run" if cls.default else "runs that ask for it"))
    if kind == "generator":
        found.append(("guided by a classifier", "yes" if cls.guidable else "no"))
    return found


def avalanche_methods() -> list[str]:
    from cl_bench.strategies.avalanche_methods import METHODS

    rows = [(f"`avalanche:{name}`", escaped(method.paper)) for name, method in METHODS.items()]
    return [
        "## Methods",
        "",
        "`cl-bench show avalanche:EWC` lists one's own options.",
        "",
        *table(("strategy", "paper"), rows),
    ]


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [heads, ("---",) * len(heads), *rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def spelled(value: object) -> str:
    return "none" if value is None else str(value)


def escaped(text: str) -> str:
    """Plain text as Markdown, code between backticks left alone."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*<>|\\])", r"\\\1", p) for p in parts)
