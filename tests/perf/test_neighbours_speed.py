"""Precision, recall, density and coverage of 10,000 against 10,000 rows of 512: time beside prdc's, memory.

By hand on a quiet machine: `uv run --group test pytest -m perf -s tests/perf/test_neighbours_speed.py`.
prdc takes some 4 GB.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cl_bench.metrics.neighbours import neighbours

pytestmark = pytest.mark.perf

N, D = 10_000, 512

# A process of its own, whose peak is nobody else's. What is resident right before is compared with the peak
# right after, so memory that imports took and gave back counts against us, not for us.
MEMORY = """
import sys
import numpy as np
from cl_bench.metrics.neighbours import neighbours

def resident(key):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))

n, d = map(int, sys.argv[1:])
rng = np.random.default_rng(0)
real, fake = rng.normal(size=(n, d)), rng.normal(size=(n, d))
neighbours(real[:100], fake[:100])
before = resident("VmRSS")
neighbours(real, fake)
print(resident("VmHWM") - before)
"""


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_faster_than_prdc(capfd: pytest.CaptureFixture[str]) -> None:
    prdc = pytest.importorskip("prdc")
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(N, D)), rng.normal(size=(N, D))
    ours, theirs = [], []
    # In turns, so that both meet the same machine; one small round to warm up.
    for size in (500, N, N):
        x, y = real[:size], fake[:size]
        ours.append(seconds(lambda x=x, y=y: neighbours(x, y)))
        theirs.append(seconds(lambda x=x, y=y: prdc.compute_prdc(x, y, nearest_k=5)))
    with capfd.disabled():
        print(f"\nn = m = {N}, d = {D}: ours {min(ours[1:]):.2f} s, prdc {min(theirs[1:]):.2f} s")
    assert min(ours[1:]) < min(theirs[1:])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_takes_less_than_a_gibibyte(capfd: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(N), str(D)], capture_output=True, text=True, check=True
    )
    extra = int(done.stdout)
    with capfd.disabled():
        print(f"\nn = m = {N}, d = {D}: {extra / 2**20:.0f} MiB beside the two sets")
    assert extra < 2**30
