"""Replicas of a Gaussian loop a second: all at once, one at a time, and in plain Python; the floor is the
noise.

The public code of Gaussian loops (as in Kazdan et al. 2024, arXiv 2410.16713) runs one replica at a time in
NumPy.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_bench import run

pytestmark = pytest.mark.perf

N, GENERATIONS, REPLICAS = 100, 100, 100_000


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def plain_python(replicas: int) -> None:
    for _ in range(replicas):
        mean, std = 0.0, 1.0
        for _ in range(GENERATIONS):
            x = [random.gauss(mean, std) for _ in range(N)]
            mean, std = statistics.fmean(x), statistics.pstdev(x)


def one_at_a_time(replicas: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(replicas):
        mean, covariance = np.zeros(1), np.eye(1)
        for _ in range(GENERATIONS):
            x = rng.multivariate_normal(mean, covariance, N)
            mean, covariance = x.mean(0), np.cov(x, rowvar=False, bias=True).reshape(1, 1)


def test_hundred_thousand_replicas_of_a_hundred_generations(tmp_path: Path) -> None:
    options = {"n": N, "generations": GENERATIONS, "evaluators": ("law",), "quiet": True, "device": "cpu"}
    run("bootstrap", "gaussian1d", replicas=100, **options, output=tmp_path / "warm")  # imports
    ours = seconds(lambda: run("bootstrap", "gaussian1d", replicas=REPLICAS, **options, output=tmp_path))
    noise = seconds(lambda: [torch.randn(N, REPLICAS) for _ in range(GENERATIONS)])
    python = seconds(lambda: plain_python(20)) / 20 * REPLICAS
    numpy = seconds(lambda: one_at_a_time(50)) / 50 * REPLICAS
    print(
        f"\n{REPLICAS} replicas, {GENERATIONS} generations of n = {N}: {ours:.1f} s, "
        f"{REPLICAS / ours:,.0f} replicas/s; noise alone {noise:.1f} s ({ours / noise:.1f}×); "
        f"plain Python {python / ours:,.0f}×, one at a time in NumPy {numpy / ours:,.0f}×"
    )
    assert ours < 60
    assert python > 30 * ours
    assert numpy > 15 * ours
