"""The code in the documentation runs as written."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from cl_bench.cli.main import main

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/own-strategy.md",
        "docs/benchmarks.md",
        "docs/generators.md",
        "docs/loops.md",
        "docs/recipes.md",
    ],
)
def test_every_command_in_the_docs_parses(page: str, capsys, tmp_path: Path, monkeypatch) -> None:
    """Lines of `cl-bench run` resolve, as a dry run; all others name a verb that exists."""
    from cl_bench.cli.main import VERBS

    blocks = re.findall(r"```console\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    lines = [line.partition("#")[0].split() for block in blocks for line in block.splitlines()]
    lines = [["cl-bench" if word == "cl_bench" else word for word in words] for words in lines]
    commands = [words[words.index("cl-bench") + 1 :] for words in lines if "cl-bench" in words]
    monkeypatch.chdir(tmp_path)
    for words in commands:
        assert words[0] in VERBS, words
        own = "--plugin" in words or "reservoir" in words
        if words[0] == "run" and not own:
            assert main([*words, "--dry-run", "--quiet"]) == 0, words
    assert list(tmp_path.iterdir()) == []


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
