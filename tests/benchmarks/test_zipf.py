"""Zipf's law: the probabilities of theory, drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.stream import TaskStream


def zipf(k: int, **options: object) -> TaskStream:
    cls = benchmarks.get(f"zipf:{k}")
    return cls(build_options(cls.Options, options, "zipf")).build()


@pytest.mark.parametrize(("options", "exponent"), [({}, 1.0), ({"exponent": 1.7}, 1.7), ({"exponent": 0}, 0)])
def test_tokens_are_as_frequent_as_the_law_says(options: dict[str, object], exponent: float) -> None:
    stream = zipf(7, n=100_000, **options)
    expected = np.array([1 / k**exponent for k in range(1, 8)])
    expected /= expected.sum()
    assert np.allclose(stream.law.probabilities[0], expected, atol=1e-15)
    counts = stream.tasks[0].train.x.flatten().bincount(minlength=7).numpy()
    z = (counts - 100_000 * expected) / np.sqrt(100_000 * expected * (1 - expected))
    assert np.abs(z).max() < 5


def test_a_sample_is_one_token() -> None:
    alone, together = zipf(5, n=30), zipf(5, n=30, replicas=4, n_test=6)
    assert alone.spec.shape == (1,)
    assert together.spec.shape == (4, 1)
    assert together.spec.vocabulary == 5
    assert together.tasks[0].train.x.shape == (30, 4, 1)
    assert len(together.test[0]) == 6
    # Replicas are other draws, and the same ones again.
    assert len(together.train.x.squeeze(-1).T.unique(dim=0)) == 4
    assert torch.equal(together.train.x, zipf(5, n=30, replicas=4, n_test=6).train.x)


@pytest.mark.parametrize("argument", ["1", "x", "-3", "0"])
def test_too_few_tokens_are_refused(argument: str) -> None:
    with pytest.raises(UserError, match=f"zipf:{argument}: the number of tokens must be 2 or more"):
        benchmarks.get(f"zipf:{argument}")
