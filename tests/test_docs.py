"""The code in the documentation runs as written."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest

from cl_bench.cli.main import VERBS, Parser, main
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
        if words[0].startswith("-"):
            assert main(words) == 0
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
