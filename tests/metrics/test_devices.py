"""Metrics of tensors that lie on another device: the same values, computed there, with nothing mixed.

On the simulated device always, on CUDA where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import torch
from simulated_device import DEVICE, simulated

from cl_bench.metrics.conditional_frechet import ConditionalFrechet, conditional_frechet
from cl_bench.metrics.gaussian import (
    distance_matrix,
    distance_to,
    extrapolated_distance,
    fit,
    fit_batches,
    frechet_distance,
    squared_distance,
)
from cl_bench.metrics.kernel import kid, kid_full, mmd_rbf
from cl_bench.metrics.memorisation import auth_pct, authentic
from cl_bench.metrics.neighbours import neighbours
from cl_bench.metrics.otdd import otdd
from cl_bench.metrics.sliced_otdd import sliced_otdd
from cl_bench.metrics.vendi import vendi
from cl_bench.metrics.wasserstein import sliced_squared_w2, squared_w2
from cl_bench.samples import concat
from cl_bench.stream import TaskStream


def _numbers(found: ConditionalFrechet) -> list[float]:
    return [found.balanced, found.weighted, found.between, found.joint, *found.per_class]


Metric = Callable[[Any, Any, np.ndarray, np.ndarray], Any]
METRICS: dict[str, Metric] = {
    "frechet_distance": lambda a, b, y, z: frechet_distance(a, b),
    "distance_to": lambda a, b, y, z: distance_to(fit(a), b),
    "distance_matrix": lambda a, b, y, z: distance_matrix([fit(a[:90]), fit(a[90:])], [fit(b)]),
    "fit_batches": lambda a, b, y, z: squared_distance(fit_batches([a[:70], a[70:]]), fit(b)),
    "extrapolated_distance": lambda a, b, y, z: extrapolated_distance(fit(a), b),
    "conditional_frechet": lambda a, b, y, z: _numbers(conditional_frechet(a, y, b, z)),
    "kid": lambda a, b, y, z: astuple(kid(a, b, subsets=5, subset_size=50)),
    "kid_full": lambda a, b, y, z: kid_full(a, b),
    "mmd_rbf": lambda a, b, y, z: mmd_rbf(a, b),
    "neighbours": lambda a, b, y, z: astuple(neighbours(a, b, 3, 5)),
    "authentic": lambda a, b, y, z: authentic(a, b).tolist(),
    "auth_pct": lambda a, b, y, z: auth_pct(a, b),
    "vendi": lambda a, b, y, z: vendi(a),
    "otdd": lambda a, b, y, z: otdd(a, y, b, z).value,
    "otdd, exact inner": lambda a, b, y, z: otdd(a[:60], y[:60], b[:60], z[:60], inner="exact").value,
    "otdd, sinkhorn": lambda a, b, y, z: otdd(a, y, b, z, outer="sinkhorn").value,
    "sliced_otdd": lambda a, b, y, z: sliced_otdd(a, y, b, z, projections=50),
    "squared_w2": lambda a, b, y, z: squared_w2(a, b),
    "squared_w2, sizes that differ": lambda a, b, y, z: squared_w2(a, b[:100]),
    "squared_w2, one dimension": lambda a, b, y, z: squared_w2(a[:, :1], b[:, :1]),
    "sliced_squared_w2": lambda a, b, y, z: sliced_squared_w2(a, b, projections=50),
}


@pytest.fixture(params=[pytest.param(DEVICE, marks=pytest.mark.simulated), "cuda"], ids=["simulated", "cuda"])
def bring(request: pytest.FixtureRequest) -> Iterator[Callable[[np.ndarray], torch.Tensor]]:
    """Takes arrays to a device."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with nullcontext() if request.param == "cuda" else simulated():
        yield lambda x: torch.from_numpy(x).to(request.param)


@pytest.fixture(scope="module")
def sets(digits: TaskStream) -> tuple[np.ndarray, ...]:
    """18 digits of each class, and others: x (180, 32), x', y, y'."""
    some = dict.fromkeys(range(10), 18)
    sides = digits.train.first_per_class(some), concat(digits.test).first_per_class(some)
    x, other = (side.x.flatten(1).double().numpy()[:, 16:48] / 255 for side in sides)
    return x, other, sides[0].y.numpy(), sides[1].y.numpy()


@pytest.mark.parametrize("name", METRICS)
def test_values_are_those_of_the_cpu(name: str, sets: tuple[np.ndarray, ...], bring: Any) -> None:
    x, other, y, labels = sets
    expected = METRICS[name](*sets)
    found = METRICS[name](bring(x), bring(other), y, labels)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ["otdd", "otdd, sinkhorn", "sliced_otdd", "conditional_frechet"])
def test_labels_may_lie_there_too(name: str, sets: tuple[np.ndarray, ...], bring: Any) -> None:
    expected, found = METRICS[name](*sets), METRICS[name](*map(bring, sets))
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
