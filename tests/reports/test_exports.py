"""Tables and captions as files: JSON with the numbers behind, LaTeX that compiles, figures at paper size."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from io import BytesIO, StringIO, TextIOWrapper
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from cl_bench.finished_run import Run
from cl_bench.registry import evaluators, extractors
from cl_bench.reports import captions, exports, terminal
from cl_bench.reports.cells import Cell, Column, Row, Table
from cl_bench.reports.content import Comparison, Single
from cl_bench.reports.report import StandardReport, _draw
from cl_bench.reports.sparklines import MOST_BLOCKS, sparkline

Make = Callable[..., Run]


def some_runs(make_run: Make) -> list[Run]:
    runs = [make_run("mixed", seed=s, acc=0.7 + s / 10, otdd=0.1 + s / 3) for s in range(3)]
    runs += [make_run("a_b&c%", seed=s, acc=0.2 + s / 100) for s in range(3)]
    return [*runs, *(make_run("ddgr", seed=s, benchmark="zoo") for s in range(3)), make_run("joint")]


def test_json_has_the_numbers_behind_the_text(make_run: Make) -> None:
    told = json.loads(exports.json_text(Comparison(some_runs(make_run))))
    assert told["heading"].startswith("Comparison of 10 runs")
    tables = {table["name"]: table for table in told["tables"]}
    final = tables["final-1"]
    assert all(len(row["cells"]) == len(final["columns"]) for row in final["rows"])
    headings = [column["heading"] for column in final["columns"]]
    (mixed,) = (row for row in final["rows"] if row["cells"][0]["text"] == "mixed")
    acc = mixed["cells"][headings.index("ACC class-IL ↑")]
    assert acc["text"] == "0.800 ± 0.100†"
    assert acc["best"]
    assert acc["numbers"] == {"mean": pytest.approx(0.8), "std": pytest.approx(0.1), "n": 3}
    otdd = mixed["cells"][headings.index("OTDD ↓ (floor)")]
    mean = sum(0.1 + s / 3 for s in range(3)) / 3
    assert otdd["numbers"] == {
        "mean": pytest.approx(mean, abs=1e-15),
        "std": pytest.approx(1 / 3),
        "n": 3,
    } | {"floor": 0.125}
    assert {metric["name"] for metric in told["metrics"]} >= {"average_accuracy_class_il", "otdd:classifier"}
    assert any("No upper bound" in note for note in told["notes"])
    assert {"across-1", "course-1-1", "cost-1-1", "final-2"} <= set(tables)


def test_json_of_one_run(make_run: Make) -> None:
    told = json.loads(exports.json_text(Single(make_run(finished=2))))
    tables = {table["name"]: table for table in told["tables"]}
    drift = tables["drift"]
    headings = [column["heading"] for column in drift["columns"]]
    assert drift["rows"][1]["cells"][headings.index("OTDD ↓")]["numbers"] == {"value": 0.5, "floor": 0.125}
    assert "FD ↓" not in headings, "nobody measured it"


def test_captions_say_what_a_figure_shows(make_run: Make) -> None:
    drawn = [(drawing.name, drawing.caption) for drawing in Comparison(some_runs(make_run)).drawings()]
    captions = dict(drawn)
    assert {"curves_acc_1", "curves_otdd_2", "cost_1"} <= set(captions)
    told, latex = exports.markdown_figures(drawn), exports.latex_figures(drawn)
    for name in captions:
        assert f"]({name}.png)" in told
        assert rf"\includegraphics{{{name}.pdf}}" in latex
    otdd = captions["curves_otdd_1"]
    assert otdd.startswith("OTDD ↓ after each task, over all classes seen, toy, 3 tasks")
    assert "n = 1 to 3 seeds" in otdd
    assert "n = 40 to 42 on each side" in otdd
    assert "Extractor: frozen reference classifier" in otdd
    assert "Estimator: OTDD by optimal transport" in otdd


def test_pictures_have_paper_size_in_every_format(make_run: Make, tmp_path: Path) -> None:
    drawings = Comparison([make_run("mixed"), make_run("ddgr")]).drawings()
    _draw([drawing for drawing in drawings if drawing.name == "curves_otdd"], tmp_path)
    with Image.open(tmp_path / "curves_otdd.png") as picture:
        width, height = picture.size
        assert width == 990, "3.3 inches of 300 dots"
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    root = ET.parse(tmp_path / "curves_otdd.svg").getroot()
    inches = [float(str(root.get(side)).removesuffix("pt")) / 72 for side in ("width", "height")]
    assert inches == pytest.approx([width / 300, height / 300], abs=0.01)
    assert not [node for node in root.iter() if node.tag.endswith("script")]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(make_run: Make, tmp_path: Path) -> None:
    """With every title and definition that any of our metrics has, and the signs that captions use."""
    content = Comparison([make_run("a_b&c%"), make_run(costs={"network_evaluations": 9})])
    (tmp_path / "table.tex").write_text(exports.latex(content.tables), encoding="utf-8")
    _draw(islice(content.drawings(), 1), tmp_path)
    known = [extractors.get("classifier"), extractors.get("pixels")]
    definitions = [
        metric
        for name in evaluators.names()
        for metric in evaluators.get(name).definitions(tuple(known), True).values()
    ]
    rows = [Row((Cell(m.title, strong=True), Cell(m.doc))) for m in definitions]
    columns = (Column("title", numeric=False), Column("what", numeric=False))
    signs = captions.ARROWS + captions.significance([]) + "∞ ½ é ü ń α † ≤ ✗ 漢"
    titles = Table("titles", "All titles", columns, tuple(rows), signs)
    (tmp_path / "titles.tex").write_text(exports.latex([titles]), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx,amssymb}\begin{document}"
        r"\input{table}\input{titles}\clearpage\input{figures}\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def test_sparklines_by_hand() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 0, 7) == "▁▂▃▄▅▆▇█"
    assert sparkline([7, float("nan"), 0], 0, 7) == "█·▁"
    assert sparkline([3, 3], 3, 3) in ("▄▄", "▅▅")
    long = sparkline(list(range(2000)), 0, 1999)
    assert (len(long), long[0], long[-1]) == (MOST_BLOCKS, "▁", "█")
    assert list(long) == sorted(long)


def test_sparklines_follow_the_tables(make_run: Make, capsys: pytest.CaptureFixture[str]) -> None:
    # ACC rises by 0.1 a task to 0.9 and 0.5: one scale from 0.3 to 0.9.
    StandardReport().show([make_run(acc=0.9), make_run("ddgr", acc=0.5)], plain=True)
    out = capsys.readouterr().out
    assert out.index("Final values") < out.index("Course: toy")
    course = [line.split() for line in out[out.index("Course: toy") :].splitlines() if "ACC" in line]
    assert [(words[3], words[5:]) for words in course] == [
        ("ddgr", ["▁▂▃", "0.300", "0.500"]),
        ("mixed", ["▆▇█", "0.700", "0.900"]),
    ]
    StandardReport().show([make_run(seed=1)], plain=True)
    (course,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("ACC class-IL ↑  "))
    assert course.split()[3:] in (["▁▄█", "0.700", "0.900"], ["▁▅█", "0.700", "0.900"])


def test_sparklines_without_unicode(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    StandardReport().show([make_run(seed=s, acc=a) for s, a in ((0, 0.7), (1, 0.8))])
    stream.seek(0)
    text = stream.read()
    assert "?" not in text
    (course,) = (line for line in text.splitlines() if line.startswith("ACC class-IL (up)  mixed"))
    assert course.split()[-3] in (".+%", ".=%")


def test_plain_columns_hold_no_pictures(make_run: Make) -> None:
    """Each line of a table of numbers still splits into its columns at two blanks."""
    tables = StandardReport._content([make_run(), make_run("ddgr")]).tables
    out = StringIO()
    for table in tables:
        out.write(terminal.text_table(table))
    assert not set(out.getvalue()) & set("▁▂▃▄▅▆▇█")
