"""Benchmarks drawn from known laws: the law is theirs, replicas differ, and fresh data are fresh."""

from __future__ import annotations

import pytest
import torch

from cl_bench.benchmark import Benchmark
from cl_bench.errors import UserError
from cl_bench.law import Moments
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.stream import SealedTestSet, sealed_tests


def make(name: str, **options: object) -> Benchmark:
    cls = benchmarks.get(name)
    return cls(build_options(cls.Options, options, name))


@pytest.mark.parametrize("name", ["gaussian1d", "gaussian:3", "centred-gamma:2"])
def test_data_have_the_moments_of_the_law(name: str) -> None:
    stream = make(name, n=100, replicas=400).build()
    law = stream.law
    assert isinstance(law, Moments)
    x = stream.train.x.double().flatten(0, 1)
    d = x.shape[1]
    assert stream.spec.shape == (400, d)
    spread = law.covariance[0].diagonal()
    assert ((x.mean(0) - law.mean[0]).abs() < 5 * (spread / len(x)).sqrt()).all()
    # The fourth moment of the gamma law is far above a Gaussian's; four times its error is still close.
    assert torch.allclose(x.T.cov(), law.covariance[0], atol=0.1)


def test_condition_sets_variances_apart() -> None:
    law = make("gaussian:3", condition=100).law()
    assert law.covariance[0].diagonal().tolist() == pytest.approx([1, 0.1, 0.01])


def test_replicas_are_independent_and_one_has_no_axis() -> None:
    x = make("gaussian1d", n=50, replicas=3).build().train.x
    assert x.shape == (50, 3, 1)
    assert len({tuple(x[:, r, 0].tolist()) for r in range(3)}) == 3
    assert make("gaussian1d", n=50).build().train.x.shape == (50, 1)


def test_the_same_data_for_every_seed_but_its_own() -> None:
    one, again, other = (make("gaussian1d", data_seed=seed).build().fingerprint for seed in (0, 0, 1))
    assert one == again != other


def test_fresh_data_are_disjoint_and_as_many_in_every_generation() -> None:
    stream = make("gaussian1d", n=20, generations=4, fresh=True).build()
    parts = [set(task.train.x.flatten().tolist()) for task in stream.tasks]
    assert [len(part) for part in parts] == [20] * 4
    assert len(set.union(*parts)) == 80
    assert stream.spec.fresh
    same = make("gaussian1d", n=20, generations=4).build()
    assert len({tuple(task.train.x.flatten().tolist()) for task in same.tasks}) == 1


def test_fresh_parts_of_a_data_set() -> None:
    stream = make("digits", fresh=True, generations=3, classes=2).build()
    parts = [{image.numpy().tobytes() for image in task.train.x} for task in stream.tasks]
    assert not parts[0] & parts[1]
    with pytest.raises(UserError, match="too small for fresh data in each of 500"):
        make("digits", fresh=True, generations=500).build()


def test_the_law_is_sealed_while_a_strategy_works() -> None:
    stream = make("gaussian1d").build()
    with sealed_tests(), pytest.raises(SealedTestSet, match="read the law"):
        _ = stream.law


@pytest.mark.parametrize(
    ("name", "said"), [("gaussian:x", "dimensions must be 1"), ("centred-gamma:0", "above 0")]
)
def test_wrong_arguments(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        benchmarks.get(name)
