"""The tables of one run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cl_bench.finished_run import Run
from cl_bench.reports import per_task
from cl_bench.reports.cells import number
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


def test_tasks_of_a_loop_are_generations(make_run: Make) -> None:
    run = make_run(extra=tuple((f"extra{k}", f"extra {k}", None, 0.5) for k in range(9)))
    run.manifest["stationary"] = True
    accuracy, drift, *_, further = per_task.tables(run)
    assert accuracy.columns[0].alone == drift.columns[0].alone == "after generation"
    assert "generation 3" in [column.alone for column in further.columns]


def test_sampling_is_a_cost_of_its_own(make_run: Make) -> None:
    costs = {"seconds_sampling": 3.14, "network_evaluations": 14_400, "peak_memory_mb": 812.6}
    run = make_run(costs=costs | {"peak_memory_of": "process"})
    drift = per_task.tables(run)[1]
    found = dict(zip([c.heading for c in drift.columns], [c.text for c in drift.rows[2].cells], strict=True))
    assert (found["sampling s (NFE)"], found["memory MB"]) == ("3.1 (14,400)", "813")
    assert "Memory: peak of process." in drift.caption
    assert list(per_task.wide(run)["network_evaluations"]) == [14_400] * 3


def test_nothing_sampled_is_a_dash(make_run: Make) -> None:
    drift = per_task.tables(make_run(costs={"seconds_sampling": None, "network_evaluations": None}))[1]
    found = dict(zip([c.heading for c in drift.columns], [c.text for c in drift.rows[2].cells], strict=True))
    assert (found["sampling s (NFE)"], found["memory MB"]) == ("–", "–")


def test_the_slope_of_one_run_is_told(make_run: Make) -> None:
    run = make_run(otdd=(0.2, 0.3, 0.7))
    drift = per_task.tables(run)[1]
    assert "OTDD slope, by least squares: 0.250 a task (floor 0.000)." in drift.caption
    assert "OTDD slope" not in "".join(column.heading for column in drift.columns)
    assert "slope" not in per_task.tables(make_run(seed=1, otdd=(0.2, 0.3), finished=1))[1].caption
    assert list(per_task.wide(run)["otdd:classifier:slope"])[1:] == pytest.approx([0.1, 0.25])


def test_what_was_not_measured_has_no_column(make_run: Make) -> None:
    tables = per_task.tables(make_run(otdd=None))
    assert len(tables) == 2, "no tables of distances that were not measured"
    headings = [column.heading for column in tables[1].columns]
    assert headings[:3] == ["after task", "classes", "training s"]
    assert tables[1].title == "Cost"
    assert tables[1].caption.startswith("Training: ")
    # Before the first task is finished nobody knows.
    nothing = per_task.tables(make_run(seed=1, finished=0))[1]
    assert [column.heading for column in nothing.columns][2:7] == ["OTDD ↓", "FD ↓", "CAS ↑", "depth", "n"]


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
