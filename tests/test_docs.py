"""The code in the documentation runs as written."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from cl_bench.cli.main import VERBS, Parser, main
from cl_bench.evaluator import EXTRACTOR
from cl_bench.registry import benchmarks, evaluators, extractors, generators, strategies
from cl_bench.run_directory import RunDirectory

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_strategy_in_the_docs_passes_check(capsys, tmp_path: Path, monkeypatch) -> None:
    text = (ROOT / "docs" / "own-strategy.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# mine.py\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(code)
    assert main(["check", "mine", "--plugin", "mine.py"]) == 0
    assert "FAIL" not in capsys.readouterr().out
    assert main(["show", "mine", "--plugin", "mine.py"]) == 0
    assert "steps=400  training steps per task" in capsys.readouterr().out
    assert main(["run", "--plugin", "mine.py", "--strategy", "mine", "-o", "steps=200"]) == 2
    assert "strategy.steps or generator.steps" in capsys.readouterr().err


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)


def commands(page: Path) -> list[list[str]]:
    """The words after `cl-bench`, of every such line."""
    whole = [block.replace("\\\n", " ") for block in blocks(page, "console")]
    lines = [line for block in whole for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if "$" not in line]
    words = [["cl-bench" if word == "cl_bench" else word for word in line] for line in words]
    return [line[line.index("cl-bench") + 1 :] for line in words if "cl-bench" in line]


PAGES = {path.stem: path for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_docs_parses(page: str, capsys, tmp_path: Path, monkeypatch) -> None:
    """Lines of `cl-bench run` resolve, as a dry run; the arguments of all others are known."""
    monkeypatch.chdir(tmp_path)
    for words in commands(PAGES[page]):
        if words[-1] in ("--help", "--version"):
            continue
        name, rest = words[0], words[1:]
        module, _, attribute = VERBS[name][0].partition(":")
        parser = Parser(allow_abbrev=False)
        getattr(importlib.import_module(module), attribute)().configure(parser)
        _, extra = parser.parse_known_args(rest)
        assert extra == [], words
        own = "--plugin" in words or "reservoir" in words
        if name == "run" and not own:
            assert main([*words, "--dry-run", "--quiet"]) == 0, words
    assert list(tmp_path.iterdir()) == []


OWN = ["own-strategy", "own-benchmark", "own-generator", "own-evaluator", "own-extractor", "tracking"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch):
    """The files of a page, written; the commands that use them."""
    monkeypatch.chdir(tmp_path)

    def write(page: str) -> list[list[str]]:
        files = [block for block in blocks(PAGES[page], "python") if re.match(r"# \w+\.py\n", block)]
        for code in files:
            Path(code.splitlines()[0].removeprefix("# ")).write_text(code, encoding="utf-8")
        assert files
        return [words for words in commands(PAGES[page]) if "--plugin" in words]

    return write


@pytest.mark.parametrize("page", OWN)
def test_what_you_would_write_yourself_passes_its_check(page: str, written, capsys) -> None:
    for words in written(page):
        if words[0] != "run":
            assert main(words) == 0
            assert "FAIL" not in capsys.readouterr().out
        else:
            assert main([*words, "--dry-run", "--quiet"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", OWN)
def test_what_you_would_write_yourself_runs(page: str, written) -> None:
    for words in written(page):
        if words[0] == "run":
            assert main([*words, "--quiet"]) == 0
    (path,) = Path("runs").glob("*/*/*")
    assert RunDirectory(path).finished_tasks() > 0
    if page == "tracking":
        assert (
            (path / "lines.txt").read_text().startswith("0 tasks: \n1 tasks: average_accuracy_class_il 1.0")
        )


def test_the_python_of_the_benchmarks_page_runs(capsys) -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(compile(code, "benchmarks.md", "exec"), {})
    printed = [ast.literal_eval(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(classes) for classes in printed] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


def test_the_recipe_in_the_docs_runs(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    path = tmp_path / "my_recipe.yaml"
    path.write_text(recipe, encoding="utf-8")
    output = tmp_path / "runs"
    assert main(["reproduce", str(path), "--seeds", "1", "--quiet", "--output", str(output)]) == 0
    claims = json.loads((output / "reproduce/my_recipe-smoke/claims.json").read_text())["claims"]
    assert [claim["verdict"] for claim in claims] == ["undecided", "undecided", "supported"]


def test_every_metric_is_defined() -> None:
    """In metrics.md, by name: EXT and `classifier` stand for any extractor, … for the rest."""
    spans = re.findall(r"`([^`\n]+)`", (DOCS / "metrics.md").read_text(encoding="utf-8"))
    told = [re.sub(r"EXT|classifier", EXTRACTOR, span) for span in spans if span.strip("…:")]
    patterns = [re.compile(".+".join(map(re.escape, span.split("…")))) for span in told]
    names = [name for e in evaluators.names() for name in evaluators.get(e).metrics]
    assert len(names) > 60
    assert [name for name in names if not any(pattern.fullmatch(name) for pattern in patterns)] == []


@pytest.mark.slow
def test_every_metric_of_a_run_is_in_its_manifest(fast_run) -> None:
    few = {"classes": 4, "tasks": 2}
    run = fast_run("bootstrap", evaluators=("all",), ci=True, options=few)
    metrics = set(run.rows["metric"])
    assert len(metrics) > 60
    assert metrics <= set(run.manifest["metrics"])


def test_every_strategy_says_what_it_stores_costs_and_cannot_do() -> None:
    for name in strategies.names():
        cls = strategies.get(name)
        assert cls.stores, name
        assert cls.cost, name
        assert cls.limits, name


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    """Cell by cell, as a notebook does; what the last line of a cell is worth is looked at here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    names: dict[str, object] = {}
    values = []
    for cell in blocks(DOCS / "notebook.md", "python"):
        body = ast.parse(cell).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "notebook.md", "exec"), names)
        if last is not None:
            values.append(eval(compile(ast.Expression(last.value), "notebook.md", "eval"), names))
    drift, table = values[1], values[3]
    assert list(drift.columns) == ["bootstrap", "joint", "mixed"]
    assert drift.shape == (5, 3)
    assert drift.notna().all(axis=None)
    assert list(table.index) == ["bootstrap", "joint", "mixed"]
    assert table.loc["joint", "splitdigits"].startswith("0.")
    assert "\\toprule" in capsys.readouterr().out
    assert len(plt.get_fignums()) == 2
    plt.close("all")


@pytest.mark.slow
def test_the_python_of_getting_started_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(DOCS / "getting-started.md", "python")
    names: dict[str, object] = {}
    exec(compile(code, "getting-started.md", "exec"), names)
    assert names["run"].finished


@pytest.mark.slow
def test_the_python_of_readme_and_generators_runs(tmp_path: Path, monkeypatch) -> None:
    """As it stands, but on few samples and with a generator in closed form."""
    monkeypatch.chdir(tmp_path)
    import cl_bench

    few = {"generator": "gaussian", "limit": 20, "evaluators": ("accuracy", "otdd"), "quiet": True}
    monkeypatch.setattr(cl_bench, "run", partial(cl_bench.run, **few, classifier_steps=20))
    (readme,) = blocks(ROOT / "README.md", "python")
    names: dict[str, object] = {}
    exec(compile(readme, "README.md", "exec"), names)
    path = names["run"].path
    (code,) = blocks(DOCS / "generators.md", "python")
    exec(compile(code.replace("runs/…", str(path)), "generators.md", "exec"), names)
    assert names["images"].shape == (3, 1, 8, 8)


def test_links_between_files_lead_somewhere() -> None:
    """Where the files are read as they are; pages that the site makes (`example/…`) are not among them."""
    lost = []
    for path in PAGES.values():
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not target.startswith("example/") and not (path.parent / target).exists():
                lost.append(f"{path.name}: {target}")
    assert lost == []


def test_pictures_are_small() -> None:
    large = [path.name for path in (DOCS / "images").iterdir() if path.stat().st_size > 100_000]
    assert large == []


@pytest.mark.slow
def test_the_site_is_built(tmp_path: Path) -> None:
    """Every link holds, every part of the report that is explained is there, and nothing is fetched."""
    pytest.importorskip("material", reason="uv sync --group docs")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    subprocess.run(command, cwd=ROOT, check=True)
    for registry in (strategies, benchmarks, generators, evaluators, extractors):
        (folder,) = [f for f in site.iterdir() if (f / f"{registry.names()[0]}.html").is_file()]
        assert {path.stem for path in folder.glob("*.html")} == {*registry.names(), "index"}
    card = (site / "strategies" / "mixed.html").read_text(encoding="utf-8")
    assert "synthetic_fraction" in card
    assert "Bertrand et al. 2024" in card
    pages = [path for path in site.rglob("*.html") if "example" not in path.parts]
    assert len(pages) > 100
    for path in pages:
        text = path.read_text(encoding="utf-8")
        assert "<!-- example" not in text, path
        assert not re.search(r"<(script|img|iframe)[^>]+src=\"?https?:", text), path
        assert not re.search(r"<link[^>]+rel=\"?stylesheet\"?[^>]+https?:", text), path


@pytest.mark.slow
def test_every_column_of_the_example_is_explained() -> None:
    """The page on reports names every heading of its tables, after the site was built."""
    runs = ROOT / ".cache" / "docs"
    if not (runs / "run" / "table.md").is_file():
        pytest.skip("no site was built here")
    page = (DOCS / "reading-a-report.md").read_text(encoding="utf-8")
    headings = set()
    for report in ("run", "comparison"):
        lines = (runs / report / "table.md").read_text(encoding="utf-8").splitlines()
        heads = [head for head, rule in pairwise(lines) if rule.startswith(("| :", "| -"))]
        headings |= {cell.strip() for line in heads for cell in line.strip("|").split("|")}
    plain = {re.sub(r" ?(↑|↓|\(.*\)|\d+)", "", heading).strip() for heading in headings}
    assert len(plain) > 20
    assert {heading for heading in plain if heading and heading not in page} == set()
