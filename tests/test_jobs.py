"""Calls side by side: results by place, threads shared out, nothing left running."""

from __future__ import annotations

import operator
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cl_bench.errors import UserError
from cl_bench.jobs import THREADS, side_by_side


def test_results_come_with_their_places() -> None:
    assert dict(side_by_side(operator.mul, [(3, 3), (5, 5), (7, 7)], 2)) == {0: 9, 1: 25, 2: 49}


def test_threads_are_shared_out_unless_the_user_said_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for said, expected in ((None, "3"), ("1", "1")):
        for name in THREADS:
            monkeypatch.delenv(name, raising=False)
            if said:
                monkeypatch.setenv(name, said)
        assert [value for _, value in side_by_side(os.getenv, [(THREADS[0],)], 2)] == [expected]
        assert os.environ.get(THREADS[0]) == said


def test_a_killed_process_is_told_in_a_line() -> None:
    with pytest.raises(UserError, match="try fewer --jobs"):
        list(side_by_side(os._exit, [(1,)], 2))


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")
def test_jobs_end_with_their_parent() -> None:
    code = (
        "import time\nfrom cl_bench.jobs import side_by_side\n"
        "if __name__ == '__main__': list(side_by_side(time.sleep, [(60,)], 2))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    until(lambda: len(children.read_text().split()) >= 2, 30)  # the resource tracker and a job
    time.sleep(2)
    jobs = [Path("/proc") / pid for pid in children.read_text().split()]
    parent.kill()
    parent.wait()
    until(lambda: not any(job.exists() for job in jobs), 10)


def until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
