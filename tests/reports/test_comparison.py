"""Lines, bounds and statistics of a comparison."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cl_bench.finished_run import Run, load_run
from cl_bench.reports import comparison, course, lines, numbers, over_seeds
from cl_bench.reports.cells import Table
from cl_bench.reports.definitions import Definitions

Make = Callable[..., Run]


def column(table: Table, heading: str) -> list[str]:
    index = [c.heading for c in table.columns].index(heading)
    return [row.cells[index].text for row in table.rows]


def strong(table: Table, heading: str) -> list[bool]:
    index = [c.heading for c in table.columns].index(heading)
    return [row.cells[index].strong for row in table.rows]


def test_mean_and_sample_deviation_by_hand(make_run: Make) -> None:
    # Mean 0.8; squares 0.01 + 0 + 0.01, divided by n − 1 = 2, root 0.1.
    runs = [make_run(seed=s, acc=a) for s, a in enumerate((0.7, 0.8, 0.9))]
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    assert column(final, "ACC class-IL ↑") == ["–", "0.800 ± 0.100", "–"]
    assert column(final, "seeds") == ["–", "3", "–"]
    assert column(final, "OTDD ↓ (floor)")[1] == "0.500 ± 0.000 (0.125)"
    assert column(final, "CAS ↑ (real)")[1] == "0.750 ± 0.000 (0.875)"


def test_one_seed_has_no_deviation(make_run: Make) -> None:
    (group,) = lines.groups([make_run(acc=0.7), make_run("ddgr", acc=0.8)])
    assert column(comparison.tables([group])[0], "ACC class-IL ↑")[1:3] == ["0.800", "0.700"]


@pytest.mark.parametrize("values", [[], [None, float("nan")]])
def test_statistic_of_nothing(values: list[float | None]) -> None:
    assert over_seeds.statistic(values) is None


def test_a_number_that_one_seed_lacks_says_so(make_run: Make) -> None:
    (group,) = lines.groups([make_run(seed=0), make_run(seed=1, otdd=None)])
    final = comparison.tables([group])[0]
    assert column(final, "OTDD ↓ (floor)")[1] == "0.500 [1] (0.125)"
    assert "[k]" in final.caption


def test_bounds_first_and_last_and_never_best(make_run: Make) -> None:
    runs = [make_run("joint", acc=0.99), make_run("mixed", acc=0.8), make_run("naive", acc=0.2)]
    runs.append(make_run("bootstrap", acc=0.6))
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    assert column(final, "strategy") == ["naive (lower bound)", "bootstrap", "mixed", "joint (upper bound)"]
    assert strong(final, "ACC class-IL ↑") == [False, False, True, False]
    assert [row.muted for row in final.rows] == [True, False, False, True]
    assert not group.notes


def test_best_is_lowest_where_lower_is_better(make_run: Make) -> None:
    (group,) = lines.groups([make_run("mixed", otdd=0.4), make_run("ddgr", otdd=0.3)])
    assert strong(comparison.tables([group])[0], "OTDD ↓ (floor)") == [False, True, False, False]


def test_missing_bounds_name_the_command(make_run: Make, tmp_path: Path) -> None:
    options = {"order_seed": 7, "limit": 50, "benchmark_options": {"tasks": [2, 1]}, "plugins": ["mine.py"]}
    runs = [make_run("mixed", **options), make_run("ddgr", **options)]
    (group,) = lines.groups(runs)
    note = next(note for note in group.notes if "lower bound" in note)
    assert note.endswith(
        "cl-bench run --strategy naive --benchmark toy --order-seed 7 --limit 50 --plugin mine.py "
        f"-o 'benchmark.tasks=[2,1]' --output {tmp_path / 'runs'}"
    )
    assert column(comparison.tables([group])[0], "ACC class-IL ↑")[0] == "–"


def test_the_default_root_needs_no_output_flag(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (group,) = lines.groups([make_run("mixed"), make_run("ddgr")])
    assert any(n.endswith("--strategy joint --benchmark toy -o benchmark.tasks=3") for n in group.notes)


def test_bounds_are_found_beside_the_runs(make_run: Make) -> None:
    runs = [make_run("mixed"), make_run("ddgr")]
    make_run("naive", acc=0.25)
    make_run("naive", seed=1, acc=0.35)
    make_run("joint", finished=2)
    make_run("joint", limit=9)
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    assert column(final, "ACC class-IL ↑")[0] == "0.300 ± 0.071"
    assert column(final, "ACC class-IL ↑")[-1] == "–", "unfinished or other data is no bound"
    assert any("Added the lower bound: 2 runs" in note for note in group.notes)
    assert any("No upper bound" in note for note in group.notes)


def test_the_bound_most_like_the_runs_is_taken(make_run: Make) -> None:
    runs = [make_run("mixed"), make_run("ddgr")]
    make_run("naive", acc=0.1, generator_options={"steps": 5}, strategy_options={"start": "fresh"})
    make_run("naive", acc=0.3)
    (group,) = lines.groups(runs)
    assert column(comparison.tables([group])[0], "ACC class-IL ↑")[0] == "0.300"


def test_other_generator_options_are_another_line(make_run: Make) -> None:
    runs = [make_run(seed=s, generator_options={"steps": n}) for s, n in ((0, 300), (1, 300), (0, 500))]
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    assert column(final, "generator")[1:3] == ["gaussian steps=300", "gaussian steps=500"]
    assert column(final, "seeds")[1:3] == ["2", "1"]


def test_options_of_a_generator_that_strategies_do_not_share_are_a_note(make_run: Make) -> None:
    common = {"steps": 300, "ema": 0.9}
    runs = [make_run(name, generator_options=common) for name in ("ddgr", "mixed", "joint")]
    runs.append(make_run("guide", generator_options=common | {"ema": 0.0}))
    (group,) = lines.groups(runs)
    assert set(column(comparison.tables([group])[0], "generator")) == {"gaussian", "–"}
    found = "ema=0.9 (ddgr, mixed, joint); ema=0.0 (guide)"
    assert f"Not all strategies have gaussian with the same options: {found}." in group.notes


def test_only_options_that_differ_are_shown(make_run: Make) -> None:
    both = {"start": "warm"}
    runs = [make_run(strategy_options=both | {"lambda": v}) for v in (0.5, 1.0)]
    (group,) = lines.groups(runs)
    assert column(comparison.tables([group])[0], "strategy")[1:3] == ["mixed lambda=0.5", "mixed lambda=1.0"]


def test_external_data_are_shown_whether_lines_differ_in_them_or_not(make_run: Make) -> None:
    chosen = {"pretrained": True, "base": "folder:faces", "start": "warm"}
    runs = [make_run("mixed", strategy_options=chosen | {"pretrained": False, "base": "task0"})]
    runs.append(make_run("ddgr", strategy_options=chosen))
    (group,) = lines.groups(runs)
    names = column(comparison.tables([group])[0], "strategy")
    assert names[1:3] == ["ddgr pretrained=True base=folder:faces", "mixed"]


def test_weights_and_features_from_elsewhere_are_external_data_too(make_run: Make) -> None:
    def found(**kinds: dict[str, object]) -> str:
        (group,) = lines.groups([make_run("ddgr", **kinds)])  # type: ignore[arg-type]
        (line,) = [line for line in group.lines if line.strategy == "ddgr"]
        return f"{line.options} | {line.generator}"

    assert found(generator_options={"weights": "faces.safetensors"}).endswith(" weights=faces.safetensors")
    assert found(strategy_options={"features": "faces.safetensors"}).startswith("features=faces.safetensors")
    for own in ("auto", "pixels", "task0"):
        assert found(strategy_options={"features": own}, generator_options={"weights": None})[:2] == " |"


def test_distances_in_other_features_do_not_compare(make_run: Make) -> None:
    runs = [make_run(seed=0), make_run(seed=1), make_run(seed=0, limit=10)]
    path = runs[1].path / "manifest.json"
    assert lines.extractor_notes(runs) == []
    path.write_text(path.read_text().replace("beef", "cafe"))
    runs[1] = load_run(runs[1].path)
    (note,) = lines.extractor_notes(runs)
    assert note.startswith("Extractor classifier is not the same in all runs")
    assert note in lines.groups(runs)[0].notes
    # On other data it is another one for good reason.
    assert lines.extractor_notes(runs[1:]) == []


def test_other_data_is_another_group(make_run: Make) -> None:
    found = lines.groups([make_run(), make_run(limit=10), make_run(order_seed=3)])
    assert [g.title for g in found] == [
        "toy, 3 tasks",
        "toy, 3 tasks, limit 10",
        "toy, 3 tasks, order seed 3",
    ]


def test_unfinished_runs_are_left_out_and_named(make_run: Make) -> None:
    runs = [make_run(seed=0, acc=0.8), make_run(seed=1, acc=0.1, finished=2), make_run("ddgr")]
    (group,) = lines.groups(runs)
    assert column(comparison.tables([group])[0], "ACC class-IL ↑")[2] == "0.800"
    assert any("mixed, seed 1, 2 of 3 tasks finished" in note for note in group.notes)


def test_only_unfinished_runs_still_make_a_table(make_run: Make) -> None:
    (group,) = lines.groups([make_run(finished=1), make_run(finished=0, seed=1)])
    assert column(comparison.tables([group])[0], "strategy") == ["naive (lower bound)", "joint (upper bound)"]


def test_other_versions_are_noted_and_not_averaged(make_run: Make) -> None:
    old = make_run(seed=1, acc=0.5, versions={"torch": "2.14.0"})
    (group,) = lines.groups([make_run(seed=0, acc=0.9), old])
    assert any("Different versions of torch: " in n and "2.14.0 (1 run)" in n for n in group.notes)
    final = comparison.tables([group])[0]
    assert sorted(column(final, "ACC class-IL ↑")[1:3]) == ["0.500", "0.900"]
    assert sorted(column(final, "strategy")[1:3]) == ["mixed torch@2.14.0", "mixed torch@2.15.0"]


def test_a_seed_counts_once(make_run: Make) -> None:
    runs = [make_run(acc=0.9), make_run(acc=0.9, otdd=None, evaluators=["other"]), make_run("ddgr")]
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    assert column(final, "seeds")[2] == "1"
    assert column(final, "OTDD ↓ (floor)")[2] == "0.500 (0.125)"
    assert any("same configuration and seed" in note for note in group.notes)


def test_courses_after_each_task(make_run: Make) -> None:
    (group,) = lines.groups([make_run(seed=0, acc=0.9, otdd=0.5), make_run(seed=1, acc=0.7, otdd=0.7)])
    acc, otdd, cas = comparison.tables([group])[1:4]
    assert acc.groups() == [("", 3), ("ACC class-IL ↑ after task", 3)]
    assert [c.text for c in acc.rows[1].cells[3:]] == [f"{m:.3f} ± 0.141" for m in (0.6, 0.7, 0.8)]
    assert acc.rows[1].cells[3].raw["mean"] == pytest.approx(0.6)
    assert [c.text for c in otdd.rows[1].cells[3:]] == ["0.600 ± 0.141"] * 3
    assert [c.text for c in otdd.rows[-1].cells] == ["floor (real vs real)", "–", "–", *["0.125"] * 3]
    assert [c.text for c in cas.rows[-1].cells] == ["real data", "–", "–", *["0.875"] * 3]


def test_of_many_tasks_some_are_shown() -> None:
    shown = course.shown_tasks(2000)
    assert (len(shown), shown[0], shown[-1]) == (course.MOST_TASKS, 0, 1999)
    assert course.shown_tasks(20) == list(range(20))


def test_a_third_partys_metric_has_a_column(make_run: Make) -> None:
    extra = (("beauty", "beauty", True, 0.00123),)
    (group,) = lines.groups([make_run(extra=extra), make_run("ddgr", extra=extra)])
    assert column(comparison.tables([group])[0], "beauty ↑")[1] == "0.00123"


def test_slope_of_otdd_by_hand(make_run: Make) -> None:
    # t = 0, 1, 2 about their mean: −1, 0, 1; Σ (t − t̄)² = 2. (−0.2 + 0.7)/2 = 0.25; (−0.1 + 0.2)/2 = 0.05.
    runs = [make_run(seed=0, otdd=(0.2, 0.3, 0.7)), make_run(seed=1, otdd=(0.1, 0.9, 0.2))]
    runs += [make_run("ddgr", otdd=(0.5, 0.4, 0.3))]
    (group,) = lines.groups(runs)
    final = comparison.tables([group])[0]
    headings = [c.heading for c in final.columns]
    assert headings[headings.index("OTDD ↓ (floor)") + 1] == "OTDD slope (floor)"
    # Mean 0.15; deviation √(2 · 0.1²) = 0.141. A floor that is the same after each task has no slope.
    assert column(final, "OTDD slope (floor)")[1:3] == ["−0.100 (0.000)", "0.150 ± 0.141 (0.000)"]
    assert strong(final, "OTDD slope (floor)")[1:3] == [False, False], "no direction is better"
    frame = comparison.wide([group]).set_index("strategy")
    assert frame.loc["mixed", "otdd:classifier:slope_mean"] == pytest.approx(0.15)


def test_slope_against_polyfit_and_with_holes() -> None:
    values = [0.21, 0.25, 0.22, 0.4, 0.31]
    assert numbers.slope(values) == pytest.approx(np.polyfit(range(5), values, 1)[0])
    assert numbers.slope([1.0, float("nan"), 2.0]) == pytest.approx(0.5)
    assert math.isnan(numbers.slope([1.0]))
    assert math.isnan(numbers.slope([]))


def test_the_slope_is_defined(make_run: Make) -> None:
    known = Definitions([make_run()])
    assert known["otdd:classifier:slope"].heading == "OTDD slope"
    assert "least-squares slope of OTDD" in known["otdd:classifier:slope"].doc
    assert known["otdd:classifier:slope:floor"].heading == "OTDD slope floor"
    (group,) = lines.groups([make_run(seed=1), make_run("ddgr")])
    assert "otdd:classifier:slope" in comparison.shown_metrics([group])


def final(make_run: Make, ours: list[float], theirs: list[float]) -> Table:
    runs = [make_run("mixed", seed=s, acc=a) for s, a in enumerate(ours)]
    runs += [make_run("ddgr", seed=s, acc=a) for s, a in enumerate(theirs)]
    (group,) = lines.groups([*runs, make_run("joint", acc=0.99)])
    return comparison.tables([group])[0]


def test_a_clear_best_is_marked(make_run: Make) -> None:
    table = final(make_run, [0.90, 0.91, 0.92], [0.50, 0.51, 0.52])
    assert column(table, "ACC class-IL ↑")[1:] == ["0.510 ± 0.010", "0.910 ± 0.010†", "0.990"]
    assert "Holm-corrected" in table.caption


def test_a_best_within_the_noise_is_not(make_run: Make) -> None:
    table = final(make_run, [0.80, 0.90, 1.00], [0.75, 0.85, 0.95])
    assert column(table, "ACC class-IL ↑")[2] == "0.900 ± 0.100"
    assert strong(table, "ACC class-IL ↑")[2], "best all the same"
    assert "†: differs" in table.caption


def test_no_mark_with_two_seeds(make_run: Make) -> None:
    table = final(make_run, [0.90, 0.91], [0.10, 0.11, 0.12])
    assert not any("†" in text for text in column(table, "ACC class-IL ↑"))
    assert "No test of differences: it takes 3 seeds" in table.caption
