"""Names in pictures can be read: none lies over another, none leaves the frame."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure

from cl_bench.placed_names import write_names


def written(places: list[tuple[float, float]], name: str = "hard-leaved pocket orchid"):
    figure = Figure(figsize=(6, 4.8), dpi=130)
    ax = figure.subplots()
    ax.set(xlim=(0, 10), ylim=(0, 10))
    figure.tight_layout()
    write_names(ax, [(f"{name} {i}", np.array(place)) for i, place in enumerate(places)])
    return ax, [text.get_window_extent() for text in ax.texts]


@pytest.mark.parametrize(
    "places",
    [
        [(5.0, 5.0)] * 6,
        [(10.0, 10.0), (10.0, 9.9), (0.0, 0.0), (0.1, 0.1)],
        [tuple(place) for place in np.random.default_rng(0).uniform(0, 10, (12, 2))],
    ],
)
def test_no_name_lies_over_another_or_the_frame(places) -> None:
    ax, boxes = written(places)
    frame = ax.get_window_extent()
    assert len(boxes) == len(places)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    for box in boxes:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_names_with_room_stay_on_their_places() -> None:
    ax, _ = written([(5.0, 2.0), (5.0, 8.0)], "a")
    assert [text.get_position()[1] for text in ax.texts] == pytest.approx([8.0, 2.0])


def test_many_names_are_all_written() -> None:
    _, boxes = written([(5.0, 5.0)] * 60)
    assert len(boxes) == 60
