"""Figures of self-consuming loops: theory over curves, maps by mix, samples and perplexities."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cl_bench import run, state
from cl_bench.finished_run import Run
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.figures import curves
from cl_bench.reports.heat_map import heat_map, ladders
from cl_bench.reports.lines import Group, Line
from cl_bench.reports.perplexity_histograms import perplexity_histograms
from cl_bench.reports.reproduction import apart
from cl_bench.reports.snapshots import snapshots


def loop(output: Path, strategy: str = "bootstrap", **options: object) -> Run:
    given = {"n": 40, "generations": 3, "evaluators": ("law",), "quiet": True, "output": output} | options
    return run(strategy, given.pop("benchmark", "gaussian1d"), **given)  # type: ignore[arg-type]


def group(*runs: Run) -> Group:
    lines = tuple(Line(run.strategy, (run,), label=f"line {i}") for i, run in enumerate(runs))
    return Group("loops", 3, lines, ())


@pytest.fixture(scope="module")
def mixes(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    output = tmp_path_factory.mktemp("mixes")
    mixed = [loop(output, "mixed", lambda_=lam, replicas=50) for lam in (1.0, 0.0, 0.5)]
    return [*mixed, loop(output, replicas=50)]


def curve_of(figure: Figure, label: str) -> np.ndarray:
    (line,) = (line for line in figure.axes[0].get_lines() if line.get_label() == label)
    return np.asarray(line.get_ydata())


def test_theory_lies_over_its_line(mixes: list[Run]) -> None:
    shown = group(*mixes)
    figure = curves(shown, Definitions(mixes)["law:variance"], {"line 3": [0.9, 0.8, 0.7]})
    assert figure is not None
    assert curve_of(figure, "closed form").tolist() == [0.9, 0.8, 0.7]
    measured = mixes[3].rows.query("metric == 'law:variance'").value.tolist()
    assert curve_of(figure, "line 3").tolist() == pytest.approx(measured)
    assert figure.axes[0].get_xlabel() == "after generation"


def test_the_map_has_a_row_for_each_mix_in_order(mixes: list[Run]) -> None:
    shown = group(*mixes)
    (mixed,) = ladders(shown)
    assert mixed.texts == ["0", "0.5", "1", "∞ (no real data)"]
    figure = heat_map(shown, Definitions(mixes)["law:w2"])
    assert figure is not None
    values = np.asarray(figure.axes[0].get_images()[0].get_array())
    rows = [mixes[i].rows.query("metric == 'law:w2'").value.tolist() for i in (1, 2, 0, 3)]
    assert values.tolist() == [pytest.approx(row) for row in rows]


def test_each_generator_has_a_map_of_its_own(mixes: list[Run], tmp_path: Path) -> None:
    lambdas = (0.0, 0.5, 1.0, 2.0)
    others = [loop(tmp_path, "mixed", lambda_=lam, generator="kde", replicas=20) for lam in lambdas]
    shown = group(*mixes, *others)
    assert [(ladder.generator, len(ladder.lines)) for ladder in ladders(shown)] == [
        ("gaussian", 4),
        ("kde", 4),
    ]
    figure = heat_map(shown, Definitions(shown.runs)["law:variance"])
    assert figure is not None
    first, second = (ax for ax in figure.axes if ax.get_images())
    assert (first.get_title(), second.get_title()) == ("gaussian", "kde")
    for ax, runs in ((first, (mixes[1], mixes[2], mixes[0], mixes[3])), (second, others)):
        values = np.asarray(ax.get_images()[0].get_array())
        rows = [run.rows.query("metric == 'law:variance'").value.tolist() for run in runs]
        assert values.tolist() == [pytest.approx(row) for row in rows]
    assert first.get_images()[0].norm is second.get_images()[0].norm


def test_shares_where_real_data_are_left_out(tmp_path: Path) -> None:
    runs = [loop(tmp_path, "mixed", real=r, lambda_=1 - r, replicas=20) for r in (0.5, 0.75, 0.1)]
    (mixed,) = ladders(group(*runs, loop(tmp_path, replicas=20)))
    assert mixed.what == "share of synthetic data"
    assert mixed.texts == ["0.25", "0.5", "0.9", "1"]


def test_no_map_of_few_mixes(mixes: list[Run]) -> None:
    assert heat_map(group(*mixes[:2]), Definitions(mixes)["law:w2"]) is None


def test_snapshots_of_points_and_of_images(tmp_path: Path) -> None:
    points = loop(tmp_path, benchmark="gmm2", components=2, evaluators=("depth",))
    figure = snapshots([("a label", points)])
    assert figure is not None
    assert [ax.get_title() for ax in figure.axes] == ["real", "generation 1", "generation 2", "generation 3"]
    # All of it is inside: a density in the plane keeps its mass.
    density = np.asarray(figure.axes[1].get_images()[0].get_array()) ** 2
    assert density.sum() == pytest.approx(1, abs=0.05)
    more = {"generator": "gaussian", "limit": 20, "evaluators": ("depth",), "generations": 2, "quiet": True}
    images = run("bootstrap", "digits", output=tmp_path, unlabelled=True, **more)  # type: ignore[arg-type]
    figure = snapshots([("digits", images)])
    assert figure is not None
    drawn = figure.axes[2].get_images()[0].get_array()
    found = images.samples(1)
    assert drawn is not None
    assert found is not None
    assert np.array_equal(np.asarray(drawn)[:8, :8], found.x[0, 0].numpy())


def test_labels_in_a_figure_leave_out_what_all_share() -> None:
    assert apart(["flow, two moons, λ=1", "flow, two moons", "diffusion, two moons, λ=1"]) == [
        "flow, λ=1",
        "flow",
        "diffusion, λ=1",
    ]
    # Nothing would be left of one, or two would be alike: all as they were.
    assert apart(["flow", "flow, λ=1"]) == ["flow", "flow, λ=1"]
    assert apart(["alone"]) == ["alone"]


def test_numbers_alone_have_no_snapshot(mixes: list[Run]) -> None:
    assert snapshots([("one", mixes[0])]) is None
    assert perplexity_histograms([("one", mixes[0])]) is None


def test_histograms_show_shares_of_documents(mixes: list[Run]) -> None:
    for task in range(3):
        content = {"real": torch.full((8,), 10.0), "samples": torch.full((4,), 20.0 * 2**task)}
        state.save(mixes[0].directory.task(task) / "perplexity.safetensors", content)
    figure = perplexity_histograms([("text", mixes[0])])
    assert figure is not None
    (ax,) = figure.axes
    steps = {patch.get_label(): patch.get_data() for patch in ax.patches}
    assert list(steps) == ["real text", "generation 1", "generation 2", "generation 3"]
    for label, at in (("real text", 10), ("generation 1", 20), ("generation 2", 40)):
        values, edges = steps[label].values, steps[label].edges
        (bin_,) = np.flatnonzero(values)
        assert values[bin_] == 1
        assert edges[bin_] <= at <= edges[bin_ + 1] * (1 + 1e-9)


@pytest.mark.parametrize("highest", [20.0, 500.0, 1e4, 1e6])
def test_numbers_along_a_histogram_have_room(highest: float, mixes: list[Run]) -> None:
    for task in range(3):
        content = {"real": torch.full((8,), 10.0), "samples": torch.full((4,), highest)}
        state.save(mixes[0].directory.task(task) / "perplexity.safetensors", content)
    figure = perplexity_histograms([("text", mixes[0])])
    assert figure is not None
    figure.canvas.draw()
    (ax,) = figure.axes
    boxes = [tick.get_window_extent() for tick in ax.get_xticklabels()]
    low, high = ax.get_xlim()
    shown = [box for box, at in zip(boxes, ax.get_xticks(), strict=True) if low <= at <= high]
    assert len(shown) >= 2
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(shown))
