"""Plain lines when not a terminal, a live line when it is, nothing when quiet."""

from __future__ import annotations

import io

from cl_bench import progress as module
from cl_bench.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use(progress: Progress) -> list[int]:
    with progress.loading("something"):
        pass
    progress.task(1, 5, "classes 2, 3")
    with progress.phase("replay"):
        pass
    return list(progress.steps(3, "classifier"))


def test_plain_lines(monkeypatch) -> None:
    monkeypatch.setattr(module, "PLAIN_INTERVAL", 0.0)
    monkeypatch.setattr(module, "SHORTEST", 0.0)
    stream = io.StringIO()
    assert use(Progress(stream=stream)) == [0, 1, 2]
    lines = stream.getvalue().splitlines()
    assert lines[0] == "loading something …"
    assert lines[1] == "task 2/5  classes 2, 3"
    assert lines[2].startswith("task 2/5  replay  ")
    assert lines[3].startswith("task 2/5  classifier  1/3 steps  ")
    assert lines[3].endswith("s left")
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    assert use(Progress(quiet=True, stream=stream)) == [0, 1, 2]
    assert stream.getvalue() == ""


def test_terminal_keeps_a_line_per_phase() -> None:
    stream = Terminal()
    assert use(Progress(stream=stream)) == [0, 1, 2]
    assert "classifier  3 steps" in stream.getvalue()


def test_thousands_of_short_tasks_are_few_lines(monkeypatch) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    for i in range(1000):
        progress.task(i, 1000, "all")
        with progress.phase("replay"):
            pass
    lines = stream.getvalue().splitlines()
    assert lines[0] == "task 1/1000  all"
    assert lines[-1] == "task 1000/1000  all"
    assert len(lines) < 10
