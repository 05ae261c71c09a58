"""Bars of time by task and evaluator."""

from __future__ import annotations

import re
from collections.abc import Callable

from cl_bench.finished_run import Run
from cl_bench.reports.page import render
from cl_bench.reports.report import StandardReport
from cl_bench.reports.where_time_went import timeline

Make = Callable[..., Run]


def test_where_the_time_went(make_run: Make) -> None:
    costs = {
        "seconds_training": 10.0,
        "seconds_sampling": 4.0,
        "seconds_evaluation": 10.0,
        "seconds_by_evaluator": {"otdd": 6.0, "<b>": 1.5},
    }
    run = make_run(costs=costs)
    found = timeline(run)
    assert found is not None
    assert found.total == 60.0
    assert [bar.label for bar in found.by_task] == ["1", "2", "3"]
    assert found.by_task[0].parts == (
        ("training", 6.0, 0.0, 30.0),
        ("sampling", 4.0, 30.0, 20.0),
        ("judging", 10.0, 50.0, 50.0),
    )
    assert [(bar.label, bar.seconds) for bar in found.by_evaluator] == [("otdd", 18.0), ("<b>", 4.5)]
    assert found.by_evaluator[1].parts == (("judging", 4.5, 0.0, 25.0),)
    page = render(StandardReport._content([run]), [])
    assert re.search(r'<rect class="sampling" x="30\.0%" width="20\.0%"', page)
    assert "<b>" not in page
    assert timeline(make_run("new", finished=0)) is None
