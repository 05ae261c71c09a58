"""Maps of the distances between classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from safetensors.numpy import save_file

from cl_bench.finished_run import Run
from cl_bench.reports import label_matrix
from cl_bench.reports.page import render
from cl_bench.reports.report import StandardReport

Make = Callable[..., Run]


def test_label_distances_by_task(make_run: Make) -> None:
    run = make_run()
    nan = float("nan")
    distances = np.array([[1.0, 5.0, nan], [2.0, 4.0, nan], [7.0, 7.0, nan]])
    about = {"extractor": "classifier", "real": "30", "replay": "20"}
    found = {"classes": np.array([0, 1, 2]), "distances": distances, "floor": np.array([0.5, 1.0, 1.5])}
    save_file(found, run.directory.task(2) / "label_distances.safetensors", about)
    matrix = label_matrix.read(run.directory.task(2))
    assert matrix is not None
    assert matrix.own == 2.5
    assert matrix.nearest == 1, "class 1 is nearer to the replay of class 0, and class 2 has none"
    page = render(StandardReport._content([run]), [])
    for text in (
        "n = 30 real (test) and 20 replayed",
        "1 of 3 classes",
        "1 classes of which no replay is left",
    ):
        assert text in page
    figure = label_matrix.maps({2: matrix}, ["a", "b", "c"], "task")
    assert figure is not None
    assert figure.axes[0].get_title() == "after task 3\n2.5 (1)"
