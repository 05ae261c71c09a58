"""The example of the page on reports: real runs, made when the site is built, and their real reports.

A few short runs on digits, kept in `.cache/docs`, so that only changed code makes them again. In a page,
`<!-- example run: TITLE -->` becomes the table of the run's report whose title begins so, with its caption,
`<!-- example run figure: NAME -->` a figure of it, `<!-- example run picture: NAME -->` what an evaluator
drew after the last task; with `comparison` likewise. One that is no more there stops the build.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

RUNS = Path(__file__).parents[2] / ".cache" / "docs"
SETTINGS: dict[str, Any] = {
    "generator": "gaussian",
    "limit": 40,
    "classifier_steps": 150,
    "device": "cpu",
    "quiet": True,
}
QUICK = ("accuracy", "depth", "frechet", "otdd")
MARK = re.compile(r"^<!-- example (run|comparison)(?: (figure|picture))?: (.+) -->$", re.M)


@cache
def example() -> dict[str, Path]:
    """Folders of the reports of one run and of several, and, as "picture", of the one's last task."""
    os.environ.setdefault("CL_BENCH_CACHE", str(RUNS / "cache"))
    import cl_bench
    from cl_bench.registry import reports

    drawing = (*QUICK, "cas", "label-distances", "prdc", "samples", "umap")
    one = cl_bench.run("bootstrap", output=RUNS / "one", evaluators=drawing, **SETTINGS)
    runs = [
        cl_bench.run(strategy, seed=seed, output=RUNS / "several", evaluators=QUICK, **SETTINGS)
        for strategy in ("bootstrap", "mixed", "joint")
        for seed in (0, 1, 2)
    ]
    found = {"run": RUNS / "run", "comparison": RUNS / "comparison"}
    report = reports.get("default")()
    report.write([one], found["run"])
    report.write(runs, found["comparison"])
    return found | {"picture": one.directory.task(one.num_tasks - 1)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reports' pages and pictures, as `example/run/index.html` and so on."""
    for name, folder in example().items():
        for path in [*folder.glob("*.png"), *folder.glob("index.html")]:
            files.append(File.generated(config, f"example/{name}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what the marks ask for in their place."""
    return MARK.sub(lambda mark: shown(mark[1], mark[2], mark[3]), markdown)


def shown(report: str, kind: str | None, name: str) -> str:
    """Markdown of a table (kind None), figure or picture. Raises PluginError where there is none."""
    folder = "picture" if kind == "picture" else report
    if kind is not None:
        if not (example()[folder] / f"{name}.png").is_file():
            raise PluginError(f"the example has no {kind} {name!r}")
        return f"![{name} of the example](example/{folder}/{name}.png)"
    for title, content in tables(report).items():
        if title.startswith(name):
            return content
    raise PluginError(f"the example's {report} has no table {name!r}; it has {', '.join(tables(report))}")


@cache
def tables(report: str) -> dict[str, str]:
    """Table and caption by title."""
    text = (example()[report] / "table.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
