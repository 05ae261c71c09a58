"""The tables of one run."""

from __future__ import annotations

from collections.abc import Callable

from cl_bench.finished_run import Run
from cl_bench.reports import per_task
from cl_bench.reports.table import number
from cl_bench.reports.terminal import text_table

Make = Callable[..., Run]


def test_accuracy_matrix_and_summary(make_run: Make) -> None:
    accuracy = per_task.tables(make_run())[0]
    assert [column.alone for column in accuracy.columns[:6]] == [
        *("after task", "classes", "task 1", "task 2", "task 3", "ACC class-IL ↑")
    ]
    assert [cell.text for cell in accuracy.rows[1].cells[:6]] == ["2", "dog", "0.750", "1.000", "–", "0.800"]
    assert "forgetting class-IL ↓" in [column.heading for column in accuracy.columns]


def test_drift_has_floor_ceiling_and_costs(make_run: Make) -> None:
    drift = per_task.tables(make_run(otdd=0.198))[1]
    found = dict(zip([c.heading for c in drift.columns], [c.text for c in drift.rows[2].cells], strict=True))
    assert found["OTDD ↓"] == "0.198 (floor 0.125)"
    assert found["CAS ↑"] == "0.750 (real 0.875)"
    assert found["n"] == "42"
    assert (found["training s"], found["stored MB"]) == ("1.5", "2.0")
    assert "frozen reference classifier" in drift.caption


def test_missing_generative_metrics_are_dashes(make_run: Make) -> None:
    tables = per_task.tables(make_run(otdd=None))
    assert len(tables) == 2, "no tables of distances that were not measured"
    assert [cell.text for cell in tables[1].rows[0].cells[2:7]] == ["–"] * 5


def test_distances_by_task_and_class(make_run: Make) -> None:
    by_task, by_class = per_task.tables(make_run())[2:]
    assert [cell.text for cell in by_task.rows[1].cells[2:]] == ["0.500 (–)", "1.500 (–)", "–"]
    assert [row.cells[0].text for row in by_class.rows] == ["cat", "dog", "owl"]
    assert by_class.rows[2].cells[1].text == "2.500 (–)"


def test_unfinished_run(make_run: Make) -> None:
    tables = per_task.tables(make_run(finished=2))
    assert len(tables[0].rows) == 2
    assert "2 of 3 tasks finished" in tables[0].caption


def test_no_task_finished(make_run: Make) -> None:
    run = make_run(finished=0)
    assert [len(table.rows) for table in per_task.tables(run)] == [0, 0]
    assert per_task.wide(run).empty
    assert "(no task finished)" in text_table(per_task.tables(run)[0])


def test_rows_of_an_interrupted_task_do_not_count(make_run: Make) -> None:
    run = make_run(finished=3)
    (run.directory.task(2) / "finished.json").unlink()
    assert len(per_task.tables(run)[0].rows) == 2
    assert len(per_task.wide(run)) == 2
    assert "n = 40 to 41 test samples" in per_task.tables(run)[0].caption


def test_a_third_partys_metric_has_a_column(make_run: Make) -> None:
    drift = per_task.tables(make_run(extra=(("beauty", "beauty", False, 12345.0),)))[1]
    index = [column.heading for column in drift.columns].index("beauty ↓")
    assert drift.rows[0].cells[index].text == "1.23e+04"


def test_long_class_lists_are_shortened(make_run: Make) -> None:
    run = make_run()
    run.manifest["tasks"][0] = [0, 1, 2, 0, 1]
    assert per_task.class_names(run, 0) == "cat, dog, owl, … (5 classes)"
    assert per_task.class_names(run, 0, None) == "cat, dog, owl, cat, dog"


def test_numbers_for_people() -> None:
    assert number(None) == number(float("nan")) == "–"
    assert number(-0.5) == "−0.500"
    assert number(-1e-9) == "0.000", "no negative zero"
    assert number(1234.5) == "1234"
