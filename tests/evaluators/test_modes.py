"""Modes and densities of a self-consuming loop in the plane."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cl_bench.evaluators.density import CELLS, Density, Grid
from cl_bench.evaluators.modes import ModesEvaluator
from cl_bench.finished_run import Run
from cl_bench.registry import benchmarks


def values(run: Run, after_task: int) -> dict[str, float]:
    rows = run.rows[run.rows["after_task"] == after_task]
    return dict(zip(rows["metric"], rows["value"], strict=True))


def loop(fast_run, generator: str, **options: object) -> Run:
    settings = {"benchmark": "gmm5", "generations": 2, "n": 2000, "limit": None}
    return fast_run("bootstrap", generator=generator, evaluators=("modes", "density"), **settings | options)


@pytest.fixture
def fast_run(fast_run):
    """Without the classifier that one class does not need."""

    def go(*args: object, **kwargs: object) -> Run:
        return fast_run(*args, **{"classifier_steps": 1} | kwargs)

    return go


def test_the_true_family_keeps_the_modes(fast_run) -> None:
    run = loop(fast_run, "gmm", components=5)
    found = values(run, 1)
    assert found["modes:covered"] == found["modes:covered:floor"] == 1
    n, share = 1000, 1 - math.exp(-4.5)
    assert abs(found["modes:high_quality:floor"] - share) < 5 * math.sqrt(share * (1 - share) / n)
    assert abs(found["modes:high_quality"] - share) < 0.05
    assert found["modes:spread"] == pytest.approx(1, abs=0.2)
    assert found["modes:least_spread"] <= found["modes:spread"]
    assert found["modes:kl"] < 0.05
    assert found["otdd:modes"] < 3 * found["otdd:modes:floor"]
    assert (run.path / "task_01" / "density.png").stat().st_size > 10_000


def test_one_gaussian_over_all_modes_is_told_apart(fast_run) -> None:
    found = values(loop(fast_run, "gaussian", generations=1), 0)
    assert found["modes:high_quality"] < 0.5
    assert found["otdd:modes"] > 3 * found["otdd:modes:floor"]


def test_who_fits() -> None:
    def stream(name: str, **options: object):
        cls = benchmarks.get(name)
        return cls(cls.Options(n=10, **options)).build()

    assert ModesEvaluator.fits(stream("gmm5"), True)
    assert not ModesEvaluator.fits(stream("gmm5"), False)
    assert not ModesEvaluator.fits(stream("two-moons"), True)
    assert not ModesEvaluator.fits(stream("gaussian1d"), True)
    assert not ModesEvaluator.fits(stream("gmm5", replicas=2), True)
    assert Density.fits(stream("two-moons"), True)
    assert not Density.fits(stream("gaussian1d"), True)


def test_a_density_integrates_to_one_and_has_the_height_of_its_gaussian() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2))
    grid = Grid.around(x)
    cell = (grid.high[0] - grid.low[0]) / CELLS
    density = grid.density(x)
    assert density.sum() * cell**2 == pytest.approx(1, abs=1e-3)
    # A kernel of bandwidth h makes N(0, 1) into N(0, 1 + h²).
    expected = 1 / (2 * math.pi * (1 + grid.bandwidth**2))
    column, row = ((-grid.low) / cell).astype(int)
    error = 5 * math.sqrt(expected / (len(x) * 4 * math.pi * grid.bandwidth**2))
    assert abs(density[row, column] - expected) < error + 0.02 * expected
    assert grid.outside(np.array([[0.0, 0.0], [100, 0], [0, -100], [1, 1]])) == 0.5
    shifted = Grid.around(x * [1, 0.1] + [3, 0])
    assert shifted.density(x * [1, 0.1] + [3, 0]).argmax(0).std() < CELLS / 4, "rows are the second axis"
