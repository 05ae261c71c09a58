"""Curves of a comparison: what their legend says, and how large they are."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from cl_bench.finished_run import Run
from cl_bench.reports.definitions import Definitions
from cl_bench.reports.figures import curves, files, for_page
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


def test_areas_keep_their_colours_on_a_page(make_run: Make) -> None:
    ends = {f"s{k}": (0.3, 0.4 + 0.02 * k, 0.3 + 0.1 * k) for k in range(10)}
    runs = [
        make_run(name, seed=seed, otdd=tuple(v * (1 + 0.2 * seed) for v in end))
        for name, end in ends.items()
        for seed in range(2)
    ]
    (group,) = groups(runs)
    figure = curves(group, Definitions(runs)[OTDD])
    assert figure is not None
    png = files(figure)["png"]
    on_page = Image.open(io.BytesIO(for_page(png))).convert("RGB")
    true = Image.open(io.BytesIO(png)).convert("RGB").resize(on_page.size, Image.Resampling.LANCZOS)
    found, expected = (np.asarray(picture).reshape(-1, 3).astype(int) for picture in (on_page, true))
    colours, place, counts = np.unique(expected, axis=0, return_inverse=True, return_counts=True)
    bands = counts.argsort()[-20:]
    assert np.abs(found - colours[place.ravel()])[np.isin(place.ravel(), bands)].max() <= 4
