"""Curves of a comparison: what their legend says, and how large they are."""

from __future__ import annotations

from collections.abc import Callable

from cl_bench.finished_run import Run
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.figures import curves
from cl_bench.reports.lines import groups

Make = Callable[..., Run]
OTDD = "otdd:classifier"


def test_the_legend_of_many_lines_is_in_the_order_of_their_ends(make_run: Make) -> None:
    ends = {"a": 0.3, "b": 0.9, "c": 0.1, "d": 0.5, "e": 0.7}
    (group,) = groups([make_run(name, otdd=(0.5, 0.5, end)) for name, end in ends.items()])
    figure = curves(group, Definitions(group.runs)[OTDD])
    assert figure is not None
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["b", "e", "d", "a", "floor: real vs real", "c"]


def test_many_lines_have_more_room(make_run: Make) -> None:
    def height(lines: int) -> float:
        (group,) = groups([make_run(f"s{k}", seed=lines) for k in range(lines)])
        figure = curves(group, Definitions(group.runs)[OTDD])
        assert figure is not None
        figure.draw_without_rendering()
        return figure.axes[0].get_window_extent().height

    assert height(12) > 1.5 * height(3)
