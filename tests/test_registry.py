"""Names, duplicates, laziness and plug-ins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cl_bench.errors import UserError
from cl_bench.registry import Registry, evaluators, generators, load_plugin, strategies


@pytest.fixture
def registry() -> Registry:
    return Registry("strategy", "cl_bench.no_such_group", "cl_bench.strategy:Strategy")


def test_ships_what_the_readme_names() -> None:
    shipped = {"accumulate", "bootstrap", "brain-inspired-replay", "ddgr", "dgr", "experience-replay"}
    shipped |= {"joint", "mixed", "naive"}
    assert shipped <= set(strategies.names())


def test_every_entry_point_carries_its_own_name() -> None:
    for registry in (strategies, generators, evaluators):
        for name in registry.names():
            assert registry.get(name).name == name


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown strategy 'bootstarp'; did you mean 'bootstrap'"):
        strategies.get("bootstarp")


def test_duplicate_name_is_an_error(registry: Registry) -> None:
    registry.register("mine", "cl_bench.strategies.naive:Naive")
    registry.register("mine", "cl_bench.strategies.naive:Naive")
    with pytest.raises(UserError, match="strategy name 'mine' is taken twice"):
        registry.register("mine", "cl_bench.strategies.joint:Joint")


def test_string_is_resolved_when_used(registry: Registry) -> None:
    registry.register("later", "no_such_module_anywhere:Thing")
    assert "later" in registry
    with pytest.raises(UserError, match="no_such_module_anywhere"):
        registry.get("later")


def test_module_class_spelling_needs_no_registration() -> None:
    assert strategies.get("cl_bench.strategies.naive:Naive").__name__ == "Naive"


def test_wrong_base_class_is_refused(registry: Registry) -> None:
    registry.register("wrong", "pathlib:Path")
    with pytest.raises(UserError, match="does not extend"):
        registry.get("wrong")


def test_summary_is_read_without_importing(registry: Registry, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "heavy_plugin.py").write_text('raise SystemExit\n\nclass Thing:\n    """One line."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    registry.register("heavy", "heavy_plugin:Thing")
    assert registry.summary("heavy") == "One line."
    assert "heavy_plugin" not in sys.modules


def test_plugin_file_registers(tmp_path: Path) -> None:
    path = tmp_path / "plug.py"
    path.write_text(
        "from cl_bench import register_strategy\n"
        "from cl_bench.strategies.naive import Naive\n"
        "@register_strategy('plugged')\n"
        "class Plugged(Naive):\n    'From a file.'\n"
    )
    load_plugin(str(path))
    assert strategies.get("plugged").__doc__ == "From a file."
    assert strategies.summary("plugged") == "From a file."


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), ("1/0", "ZeroDivisionError"), ("x = (", "SyntaxError")]
)
def test_bad_plugin_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / f"bad_{message[:2]}.py"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_plugin(str(path))


def test_two_plugin_files_of_one_name_are_two(tmp_path: Path) -> None:
    names = ("plug-one", "plug-two")
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "same.py").write_text(
            "from cl_bench import register_strategy\nfrom cl_bench.strategies.naive import Naive\n"
            f"@register_strategy({name!r})\nclass Mine(Naive):\n    'Mine.'\n"
        )
        load_plugin(str(folder / "same.py"))
        load_plugin(str(folder / "same.py"))
    assert set(names) <= set(strategies.names())
