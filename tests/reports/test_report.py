"""What StandardReport prints and writes."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cl_bench.cli.main import main
from cl_bench.finished_run import Run
from cl_bench.reports import commands, exports, files, per_task, terminal
from cl_bench.reports.report import StandardReport
from cl_bench.rows import Row

Make = Callable[..., Run]
EVIL = "<script>alert(1)</script>"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


class Page(HTMLParser):
    """Tags with attributes, and the text outside of styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._in_style = "", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if not self._in_style:
            self.text += data


def write(runs: list[Run], folder: Path) -> dict[str, str]:
    written = StandardReport().write(runs, folder)
    assert all(path.is_file() and path.stat().st_size for path in written)
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    texts = {".csv", ".md", ".tex", ".html"}
    return {path.name: path.read_text() if path.suffix in texts else "" for path in written}


def test_files_of_one_run(make_run: Make, tmp_path: Path) -> None:
    found = write([make_run()], tmp_path / "new" / "report")
    assert list(found) == [
        *("table.csv", "rows.csv", "table.md", "table.tex", "table.json"),
        *("accuracy_matrix.png", "accuracy_matrix.pdf", "accuracy_matrix.svg"),
        *("drift_otdd.png", "drift_otdd.pdf", "drift_otdd.svg", "figures.md", "figures.tex", "index.html"),
    ]


def test_csv_gives_the_same_numbers_back(make_run: Make, tmp_path: Path) -> None:
    run = make_run(acc=0.1 + 0.2, otdd=1 / 3)
    write([run], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "table.csv", dtype=str)
    assert float(table["average_accuracy_class_il"].iloc[2]) == 0.1 + 0.2
    assert table["otdd:classifier"].map(float).tolist() == [1 / 3] * 3
    assert table["after_task_number"].tolist() == ["1", "2", "3"]
    assert table["accuracy_class_il_task_3"].isna().tolist() == [True, True, False]
    rows = pd.read_csv(tmp_path / "out" / "rows.csv", dtype=str)
    assert rows["value"].astype(float).equals(run.rows["value"])
    assert list(rows.columns) == list(run.rows.columns)


def test_comparison_csv(make_run: Make, tmp_path: Path) -> None:
    runs = [make_run(seed=0, acc=0.7), make_run(seed=1, acc=0.8)]
    found = write(runs, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "table.csv", dtype=str).set_index("strategy")
    assert float(table.loc["mixed", "average_accuracy_class_il_mean"]) == pytest.approx(0.75, abs=1e-15)
    assert float(table.loc["mixed", "average_accuracy_class_il_std"]) == pytest.approx(
        0.1 / 2**0.5, abs=1e-15
    )
    assert table.loc["naive", "n_seeds"] == "0"
    assert {"curves_acc.png", "curves_acc.pdf", "curves_otdd.pdf"} <= set(found)
    assert len(pd.read_csv(tmp_path / "out" / "rows.csv")) == sum(len(run.rows) for run in runs)


def test_latex_is_escaped(make_run: Make, tmp_path: Path) -> None:
    text = write([make_run("a_b&c"), make_run("50%$x^2#{~\\"), make_run("naive")], tmp_path / "out")[
        "table.tex"
    ]
    assert r"a\_b\&c" in text
    assert r"50\%\$x\textasciicircum{}2\#\{\textasciitilde{}\textbackslash{}" in text
    # Final values, and the courses of ACC, OTDD and CAS.
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 5
    assert r"$\uparrow$" in text
    assert r"$\downarrow$" in text
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert "–" not in text


def test_markdown_is_escaped(make_run: Make, tmp_path: Path) -> None:
    text = write([make_run("a|b"), make_run(EVIL)], tmp_path / "out")["table.md"]
    assert r"a\|b" in text
    assert EVIL not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows[:6]}
    assert len(bars) == 1, "a name must not add a column"


@pytest.mark.parametrize("several", [False, True])
def test_the_page_asks_for_nothing_and_runs_only_its_own_scripts(
    make_run: Make, tmp_path: Path, several: bool
) -> None:
    runs = [make_run(EVIL, class_names=(EVIL, 'x" onload="y', "</style>"))]
    runs += [make_run("http://example.org/x.js")] if several else []
    page = write(runs, tmp_path / "out")["index.html"]
    parsed = Page(page)
    assert EVIL in parsed.text, "the name is shown, as text"
    assert not {tag for tag, _ in parsed.tags} & {"iframe", "object", "embed", "base", "form"}
    assert [tag for tag, _ in parsed.tags].count("script") == 2, "those of the templates"
    for tag, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        for name in ("src", "href", "srcset", "data", "action", "poster", "background", "style"):
            value = attributes.get(name)
            inside = ("data:", "#") if (tag, name) == ("a", "href") else ("data:",)
            assert value is None or value.startswith(inside), (tag, name, value)
    assert "url(" not in page
    assert "@import" not in page
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and a.get("http-equiv"))
    hashed = r"'sha256-[\w+/]{43}='"
    rules = f"default-src 'none'; img-src data:; style-src {hashed}; script-src {hashed} {hashed}"
    assert re.fullmatch(rules, policy)


def test_the_page_says_what_it_is_made_of(make_run: Make, tmp_path: Path) -> None:
    run = make_run(finished=2)
    (run.directory.task(1) / "samples.png").write_bytes(PIXEL)
    (run.directory.task(0) / "umap.png").write_bytes(b"not a picture")
    page = Page(write([run], tmp_path / "out")["index.html"])
    for text in (
        "2 of 3 tasks finished",
        "ACC class-IL ↑",
        "what otdd:classifier is",
        "f00d",
        "abc123",
        "x86_64",
    ):
        assert text in page.text
    assert "https://example.org/paper" in page.text
    assert commands.repeat(run) in page.text
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 3, "matrix, drift and one picture of samples; a damaged one is skipped"


def test_comparison_page_holds_every_run(make_run: Make, tmp_path: Path) -> None:
    runs = [make_run(), make_run("ddgr"), make_run("naive")]
    page = Page(write(runs, tmp_path / "out")["index.html"])
    assert [tag for tag, _ in page.tags].count("details") == 3
    assert "naive (lower bound)" in page.text
    assert "cl-bench run --strategy joint --benchmark toy" in page.text


def test_nothing_finished_can_be_written(make_run: Make, tmp_path: Path) -> None:
    found = write([make_run(finished=0)], tmp_path / "out")
    assert "no task finished" in found["index.html"]
    assert not [name for name in found if name.endswith(".png")]


def test_dollar_signs_are_no_formula(make_run: Make, tmp_path: Path) -> None:
    assert "curves_acc.pdf" in write([make_run(r"$\frac$"), make_run("b")], tmp_path / "out")


def test_the_same_runs_give_the_same_files(make_run: Make, tmp_path: Path) -> None:
    runs = [make_run(), make_run("ddgr")]
    first, second = (StandardReport().write(runs, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write(tmp_path / "x.txt", "old")

    def fail(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("cl_bench.reports.files.os.replace", fail)
    with pytest.raises(OSError, match="full"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_show_prints_plain_lines_when_nobody_watches(
    make_run: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    StandardReport().show([make_run(finished=2)])
    out = capsys.readouterr()
    assert not out.err
    assert "\x1b" not in out.out
    assert not set(out.out) & set("─│━┃┏|")
    assert "2 of 3 tasks finished" in out.out
    assert "OTDD ↓" in out.out
    assert "0.500 (floor 0.125)" in out.out


def test_a_terminal_without_unicode_still_gets_aligned_tables(
    make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    StandardReport().show([make_run()])
    stream.seek(0)
    lines = stream.read().splitlines()
    assert "?" not in "".join(lines)
    head, rule = lines[4:6]
    assert "ACC class-IL (up)" in head
    assert len(head) == len(rule)


def test_show_compares_several(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    StandardReport().show([make_run(acc=0.9), make_run("ddgr", acc=0.8)], plain=True)
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("mixed"))
    assert "0.900*" in line, "the best is marked"
    assert "Note: No upper bound. Make it with: cl-bench run --strategy joint" in out


def test_names_cannot_steer_the_terminal(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    StandardReport().show([make_run("\x1b[31mred\n", class_names=("[bold]a", "\x07b", "c"))], plain=True)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]a" in out


def test_one_run_twice_is_one_run(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run()
    StandardReport().show([run, Run(run.directory)], plain=True)
    assert "Comparison" not in capsys.readouterr().out


def test_no_runs_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        StandardReport().show([])


@pytest.mark.parametrize("width", [20, 60, 90, 400])
def test_wide_tables_are_split_and_never_cut(make_run: Make, width: int) -> None:
    table = per_task.tables(make_run())[0]
    found = terminal.blocks(table, width)
    shown = [i for block in found for i in block]
    assert set(shown) == set(range(len(table.columns)))
    assert all(block[:2] == [0, 1] for block in found)
    assert len(found) == 1 if width == 400 else len(found) > 1


def test_rich_tables_show_every_number(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    tables = per_task.tables(make_run())
    terminal._rich("heading", tables, ["a note"])
    out = capsys.readouterr().out
    assert "0.500 (floor 0.125)" in out
    assert "Note: a note" in out
    assert "…" not in out.replace("2, …", ""), "nothing is cut"


def test_a_very_long_table_is_left_to_the_files(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(class_names=tuple(map(str, range(50))))
    costs = run.directory.finished(2)
    (run.directory.task(2) / "finished.json").unlink()
    for c in range(50):
        run.directory.append(Row(run.id, "toy", "mixed", 0, 2, 0, c, "otdd:classifier", 0.625, 9, 0.0))
    run.directory.finish(2, costs, costs["rows"] + 50)
    StandardReport().show([run], plain=True)
    out = capsys.readouterr().out
    assert "OTDD by class, after task 3: 50 rows, left out here" in out
    assert "0.625" not in out


def test_csv_text_has_full_precision() -> None:
    assert exports.csv(pd.DataFrame({"a": [1 / 3]})) == f"a\n{1 / 3!r}\n"


def test_the_command_makes_the_same_configuration(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """What `commands.repeat` says, the command line resolves to the configuration of the run."""
    config = {
        "generator": "mlp-diffusion",
        "benchmark": "splitdigits",
        "order_seed": 5,
        "limit": 20,
        "evaluators": ["accuracy", "depth"],
        "strategy_options": {
            "classifier": "auto",
            "pretrained": False,
            "start": "fresh",
            "classifier_steps": 9,
            "early_stop": False,
            "growth": 0.0,
            "lambda": 0.25,
            "real": 1.0,
            "synthetic_fraction": 0.2,
        },
        "data_root": "/elsewhere",
        "benchmark_options": {
            "classes": ["8", 3, 0, 1, 2, 4, 5, 6, 7, 9],
            "tasks": [4, 3, 3],
            "first": None,
            "remainder": "error",
            "order": "cl-bench",
            "valid_fraction": 0.2,
        },
        "generator_options": {
            "steps": 7,
            "batch": 16,
            "learning_rate": 1e-05,
            "width": 32,
            "ema": 0.9,
            "sampling_steps": 3,
        },
    }
    run = make_run("mixed", seed=3, **config)
    words = shlex.split(commands.repeat(run))
    assert words[:2] == ["cl-bench", "run"]
    assert main([*words[1:], "--dry-run"]) == 0
    again = yaml.safe_load(capsys.readouterr().out)
    assert {key: again[key] for key in run.manifest["config"]} == run.manifest["config"]


def test_reports_import_no_engine_of_numbers(make_run: Make, tmp_path: Path) -> None:
    run, other = make_run(), make_run("ddgr")
    code = f"""
import sys
from pathlib import Path
import cl_bench.reports.report
assert not {{"pandas", "matplotlib", "jinja2", "rich"}} & set(sys.modules), "heavy at import"
from cl_bench.finished_run import load_run
runs = [load_run({str(run.path)!r}), load_run({str(other.path)!r})]
report = cl_bench.reports.report.StandardReport()
report.write(runs[:1], Path({str(tmp_path / "one")!r}))
report.write(runs, Path({str(tmp_path / "two")!r}))
report.show(runs)
print("loaded", sorted({{"torch", "avalanche", "umap", "ot", "matplotlib.pyplot"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"
    assert not done.stderr
