"""Strategies by benchmarks, ranks, costs against classes, and looks that stay."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import rankdata

from cl_bench.finished_run import Run
from cl_bench.reports import across, comparison, growth, lines
from cl_bench.reports.cells import Table
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.figures import curves, files, line_labels
from cl_bench.reports.growth_curves import _ticks, growth_curves
from cl_bench.reports.looks import looks
from cl_bench.reports.rank_plot import rank_plot
from cl_bench.reports.ranks import Ranks, places, ranks

Make = Callable[..., Run]


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def two_benchmarks(make_run: Make) -> list[lines.Group]:
    runs = [make_run("mixed", seed=s, acc=a) for s, a in ((0, 0.7), (1, 0.9))]
    runs += [make_run("ddgr", seed=s, acc=0.5) for s in (0, 1)]
    runs += [make_run("mixed", seed=s, acc=0.3, benchmark="zoo") for s in (0, 1)]
    runs += [make_run("ddgr", seed=s, acc=0.6, benchmark="zoo", generator="vae") for s in (0, 1)]
    return lines.groups([*runs, make_run("joint", acc=0.95)])


def test_a_strategy_has_one_row_on_all_benchmarks(make_run: Make) -> None:
    acc, otdd, cas = across.across(two_benchmarks(make_run))
    assert [c.heading for c in acc.columns] == ["strategy", "toy, 3 tasks", "zoo, 3 tasks"]
    assert texts(acc) == [
        ["ddgr", "0.500 ± 0.000", "0.600 ± 0.000"],
        ["mixed", "0.800 ± 0.141", "0.300 ± 0.000"],
        ["joint (upper bound)", "0.950", "–"],
    ]
    assert [[cell.strong for cell in row.cells[1:]] for row in acc.rows] == [
        [False, True],
        [True, False],
        [False, False],
    ]
    assert acc.rows[1].cells[1].raw == {"mean": pytest.approx(0.8), "std": pytest.approx(0.02**0.5), "n": 2}
    assert texts(otdd)[0][1] == "0.500 ± 0.000 (0.125)"
    assert "n = 1 to 2 seeds" in acc.caption
    assert "Not alike on all benchmarks: generator." in acc.caption
    assert "Extractor: frozen reference classifier" in otdd.caption
    assert texts(cas)[0][1] == "0.750 ± 0.000 (0.875)"


def test_options_that_tell_apart_somewhere_are_named_everywhere(make_run: Make) -> None:
    runs = [make_run(strategy_options={"lambda": v, "width": 8}) for v in (0.5, 1.0)]
    runs += [make_run(strategy_options={"lambda": 1.0, "width": 64}, benchmark="zoo")]
    named = across.by_name(lines.groups(runs))
    assert [list(names) for names in named] == [
        ["mixed lambda=0.5", "mixed lambda=1.0"],
        ["mixed lambda=1.0"],
    ]
    acc = across.across(lines.groups(runs))[0]
    assert "Not alike on all benchmarks: width." in acc.caption


def test_generators_tell_rows_apart_where_one_benchmark_has_both(make_run: Make) -> None:
    runs = [make_run(generator=g) for g in ("vae", "ddpm")] + [make_run(generator="vae", benchmark="zoo")]
    named = across.by_name(lines.groups(runs))
    assert [list(names) for names in named] == [["mixed, ddpm", "mixed, vae"], ["mixed, vae"]]


def test_one_benchmark_needs_no_such_table(make_run: Make) -> None:
    tables = comparison.tables(lines.groups([make_run(), make_run("ddgr")]))
    assert not [table for table in tables if table.name.startswith("across")]


def test_places_against_scipy() -> None:
    values = [0.3, 0.1, 0.3, 0.7, 0.7, 0.7]
    assert places(values, False) == rankdata(values).tolist()
    assert places(values, True) == rankdata([-v for v in values]).tolist()


def test_mean_ranks_by_hand(make_run: Make) -> None:
    # ACC of seed 0: a 0.9, b 0.8, c 0.7; of seed 1: b best. OTDD, lower is better, always orders c, b, a.
    runs = [make_run("a", seed=0, acc=0.9, otdd=0.5), make_run("a", seed=1, acc=0.7, otdd=0.5)]
    runs += [make_run("b", seed=0, acc=0.8, otdd=0.4), make_run("b", seed=1, acc=0.8, otdd=0.4)]
    runs += [make_run("c", seed=0, acc=0.7, otdd=0.3), make_run("c", seed=1, acc=0.6, otdd=0.3)]
    runs += [make_run("c", seed=2), make_run("joint", acc=0.99)]
    found = ranks(lines.groups(runs))
    assert found is not None
    assert found.metrics == ("average_accuracy_class_il", "forgetting_class_il", "otdd:classifier", "cas")
    # Forgetting and CAS are equal everywhere: place 2 each. Seed 0, a: (1 + 2 + 3 + 2) / 4.
    assert found.units == {"a": [2.0, 2.25], "b": [2.0, 1.75], "c": [2.0, 2.0]}
    assert found.names == ["b", "c", "a"]
    assert found.over["b"].mean == pytest.approx(1.875)
    assert rank_plot(found, looks(lines.groups(runs))).axes[0].get_xlabel() == "mean rank (1 is best)"


def test_long_names_leave_room_for_ranks(make_run: Make) -> None:
    long = "a-strategy-with-options lambda=0.95 real=0.05 cl-bench@0.1.0+4943b574 "
    units = {f"{long}{i}": [float(i)] for i in range(1, 4)}
    line = lines.Line("a", (make_run(),))
    figure = rank_plot(Ranks(units, ("cas",), 1, dict.fromkeys(units, line)), looks_of(line))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files(figure)
    assert figure.axes[0].get_position().width > 0.35


@pytest.mark.parametrize("strategies", [3, 18])
def test_no_mark_of_a_rank_is_cut_off_and_the_best_rank_is_named(make_run: Make, strategies: int) -> None:
    units = {f"strategy {i}": [float(i)] for i in range(1, strategies + 1)}
    line = lines.Line("a", (make_run(),))
    figure = rank_plot(Ranks(units, ("cas",), 1, dict.fromkeys(units, line)), looks_of(line))
    ax = figure.axes[0]
    figure.draw_without_rendering()
    half = 5.5 / 2 * figure.dpi / 72  # pixels
    left, right = (ax.transData.transform((rank, 0))[0] for rank in (1, strategies))
    assert left - half > ax.get_window_extent().x0
    assert right + half < ax.get_window_extent().x1
    ticks = ax.get_xticks()
    assert ticks[0] == 1
    assert 3 <= len(ticks) <= 9


def looks_of(line: lines.Line) -> dict[lines.Line, dict[str, object]]:
    return looks([lines.Group("", 3, (line,), ())])


def test_no_ranks_of_two_or_without_shared_seeds(make_run: Make) -> None:
    two = [make_run("a"), make_run("b")]
    assert ranks(lines.groups(two)) is None
    assert ranks(lines.groups([*two, make_run("c", seed=1)])) is None


def costs(*seconds: float, evaluations: float = math.nan) -> tuple[dict[str, float | None], ...]:
    replay = [None if math.isnan(evaluations) else evaluations * (t + 1) for t in range(3)]
    return tuple(
        {"seconds_training": s, "network_evaluations": e} for s, e in zip(seconds, replay, strict=True)
    )


def test_exponents_of_known_growth(make_run: Make) -> None:
    linear, square = make_run(costs=costs(2, 4, 6, evaluations=50)), make_run(seed=1, costs=costs(1, 4, 9))
    assert growth.exponent(linear, "seconds_training") == pytest.approx(1)
    assert growth.exponent(square, "seconds_training") == pytest.approx(2)
    assert growth.exponent(linear, "network_evaluations") == pytest.approx(1)
    assert math.isnan(growth.exponent(square, "network_evaluations"))
    x, y = np.array([1, 2, 3]), np.array([5.0, 6.0, 11.0])
    slope = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert growth.log_slope(x.tolist(), y.tolist()) == pytest.approx(slope)
    assert math.isnan(growth.log_slope([2, 2, 2], [1, 2, 3]))


def test_costs_by_task_and_classes(make_run: Make) -> None:
    runs = [make_run(seed=0, costs=costs(2, 4, 6, evaluations=50)), make_run("naive", costs=costs(1, 1, 1))]
    runs += [make_run(seed=1, costs=costs(4, 8, 12, evaluations=50))]
    (group,) = lines.groups(runs)
    seconds, evaluations = growth.growth(group, 1)
    assert [c.heading for c in seconds.columns[3:]] == ["1 (1)", "2 (2)", "3 (3)", "exponent"]
    assert texts(seconds)[1][3:] == ["3.0 ± 1.4", "6.0 ± 2.8", "9.0 ± 4.2", "1.00 ± 0.00"]
    assert texts(seconds)[0][3:] == ["1.0", "1.0", "1.0", "0.00"]
    assert texts(evaluations)[1][3:] == ["50 ± 0", "100 ± 0", "150 ± 0", "1.00 ± 0.00"]
    assert texts(evaluations)[0][3:] == ["–"] * 4
    figure = growth_curves(group, looks([group]))
    assert figure is not None
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert drawn["mixed"].tolist() == pytest.approx([3, 6, 9])
    assert np.allclose(np.diff(np.log(drawn["linear"])) / np.diff(np.log([1, 2, 3])), 1)


def test_ticks_of_classes_stand_apart(make_run: Make) -> None:
    ticks = _ticks(np.arange(5, 101, 5))
    assert (max(ticks), min(ticks)) == (100, 5)
    assert all(a / b > 1.39 for a, b in itertools.pairwise(ticks))
    assert _ticks(np.array([2, 4, 6, 8, 10]))[:3] == [10, 8, 6]


def test_no_growth_where_classes_repeat(make_run: Make) -> None:
    run = make_run()
    run.manifest["tasks"] = [[0, 1]] * 3
    (group,) = lines.groups([run])
    assert growth.growth(group, 1) == []
    assert growth_curves(group, looks([group])) is None


def test_a_strategy_looks_the_same_in_every_figure(make_run: Make) -> None:
    runs = [make_run("a", otdd=None), make_run("b"), make_run("b", benchmark="zoo"), make_run("joint")]
    groups = lines.groups(runs)
    look = looks(groups)
    of_b = [look[line] for group in groups for line in group.lines if line.strategy == "b"]
    assert of_b[0] == of_b[1]
    definitions = Definitions(runs)
    figures = [
        curves(group, definitions[name], look=look)
        for group in groups
        for name in ("average_accuracy_class_il", "otdd:classifier")
    ]
    colours = {
        str(line.get_color())
        for figure in figures
        if figure is not None
        for line in figure.axes[0].get_lines()
        if line.get_label() == "b"
    }
    assert colours == {of_b[0]["color"]}, "also where strategy a has no number"
    assert line_labels(list(groups[0].lines))[groups[0].lines[-1]] == "joint (upper bound)"
