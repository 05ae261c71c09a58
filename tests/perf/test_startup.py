"""How quickly commands answer and the default job ends. By hand, on a quiet machine: `pytest -m perf -s`."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.perf


@pytest.mark.parametrize(
    ("arguments", "limit"), [(["--help"], 0.3), (["list"], 0.5), (["reproduce", "--list"], 0.5)]
)
def test_answers_in_a_blink(arguments: list[str], limit: float) -> None:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cl_bench", *arguments], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    print(f"cl-bench {' '.join(arguments)}: median {statistics.median(times):.3f} s, limit {limit} s")
    assert statistics.median(times) < limit


def test_default_job_ends_within_90_seconds_of_its_imports(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cl_bench", "run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    start = time.perf_counter()
    imported = 0.0
    for line in process.stderr:
        if re.match(r"loading benchmark", line) and not imported:
            imported = time.perf_counter()
    assert process.wait() == 0
    seconds = time.perf_counter() - imported
    print(f"default job: {imported - start:.1f} s to import, then {seconds:.1f} s, limit 90 s")
    assert seconds < 90
