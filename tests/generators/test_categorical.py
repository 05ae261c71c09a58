"""The categorical generator follows Wright and Fisher through the real loop."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor

from cl_bench.config import Request, resolve
from cl_bench.errors import UserError
from cl_bench.generators.categorical import Categorical, CategoricalOptions
from cl_bench.law import CategoricalLaw
from cl_bench.progress import Progress
from cl_bench.runner import new_strategy
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec


def fitted(k: int, rounds: int, **options: object) -> Iterator[Tensor]:
    """Probabilities (R, k) after each round of plain bootstrapping on zipf:k, one round at a time."""
    given = {"generations": rounds, **options}
    resolved = resolve(Request("bootstrap", f"zipf:{k}", device="cpu", options=given))
    stream = resolved.new_benchmark().build()
    with isolated(0):
        strategy = new_strategy(resolved, stream.spec, torch.device("cpu"), Progress(quiet=True))
        for task in stream.tasks:
            strategy.observe(task)
            law = strategy.law()
            assert isinstance(law, CategoricalLaw)
            yield law.probabilities


def zipf(k: int, exponent: float = 1.0) -> np.ndarray:
    weights = np.arange(1, k + 1) ** -exponent
    return weights / weights.sum()


def z_of_mean(values: Tensor, expected: float) -> float:
    return ((values.mean() - expected) / (values.std() / math.sqrt(len(values)))).item()


def test_heterozygosity_falls_by_one_over_n() -> None:
    n, p0 = 10, zipf(5)
    for t, p in enumerate(fitted(5, 12, n=n, replicas=20_000), start=1):
        expected = (1 - (p0**2).sum()) * (1 - 1 / n) ** t
        assert abs(z_of_mean(1 - p.square().sum(1), expected)) < 5


def test_each_token_survives_a_round_with_its_probability() -> None:
    n, p0, replicas = 20, zipf(12), 20_000
    first, second = fitted(12, 2, n=n, replicas=replicas)
    alive = 1 - (1 - p0) ** n
    z = ((first > 0).double().mean(0).numpy() - alive) / np.sqrt(alive * (1 - alive) / replicas)
    assert np.abs(z).max() < 5
    # The next round knows the last one's frequencies only, and none comes back.
    for values, before in zip(second.T, first.T, strict=True):
        expected = 1 - (1 - before) ** n
        assert not values[before == 0].any()
        z = ((values > 0).double() - expected).sum() / (expected * (1 - expected)).sum().sqrt()
        assert abs(z) < 5


def test_a_token_is_left_alone_with_its_first_probability() -> None:
    p0, replicas = zipf(3), 20_000
    *_, last = fitted(3, 80, n=5, replicas=replicas)
    # Of (1 − 1/5)^80 nothing is left to mix.
    assert (last.max(1).values == 1).all()
    z = (last.mean(0).numpy() - p0) / np.sqrt(p0 * (1 - p0) / replicas)
    assert np.abs(z).max() < 5


@pytest.mark.parametrize(("n", "expected"), [(10, 11.031), (30, 35.109)])
def test_two_tokens_become_one_in_the_time_of_the_chain(n: int, expected: float) -> None:
    # The chain of counts: (I − Q) τ = 1 over the states 1 … n − 1, Q binomial; the first draw is its first
    # step, from p = 0.3, which is state 0.3 n.
    states = np.arange(1, n)
    q = binom.pmf(states, n, states[:, None] / n)
    tau = np.linalg.solve(np.eye(n - 1) - q, np.ones(n - 1))[round(0.3 * n) - 1]
    assert tau == pytest.approx(expected, abs=5e-4)
    rounds = 20 * n  # P(not absorbed) is about (1 − 1/n)^rounds, 10⁻⁹
    times = torch.zeros(1500, dtype=torch.float64)
    for p in fitted(2, rounds, n=n, replicas=len(times), exponent=math.log2(0.7 / 0.3)):
        times += (p.max(1).values < 1).double()
    assert abs(z_of_mean(times + 1, tau)) < 5


def make(shape: tuple[int, ...], classes: int = 1, replicas: int = 1, **options: float) -> Categorical:
    names = tuple(map(str, range(classes)))
    spec = StreamSpec("text", shape, names, 1, replicas=replicas, vocabulary=4)
    return Categorical(spec, CategoricalOptions(**options), torch.device("cpu"), Progress(quiet=True))


def test_all_positions_are_pooled_and_classes_and_replicas_kept_apart() -> None:
    generator = make((2, 3), classes=2, replicas=2)
    first = torch.tensor([[0, 0, 1], [3, 3, 3]])
    second = torch.tensor([[1, 1, 1], [2, 2, 0]])
    x = torch.stack([first, second, first, first])
    generator.fit(Samples.real(x, torch.tensor([0, 1, 0, 0])))
    third = 1 / 3
    expected = [[[2 * third, third, 0, 0], [0, 0, 0, 1]], [[0, 1, 0, 0], [third, 0, 2 * third, 0]]]
    assert torch.allclose(generator.probabilities, torch.tensor(expected, dtype=torch.float64), atol=1e-15)
    with isolated(0):
        drawn = generator.sample(torch.tensor([1, 0, 1, 0] * 50))
    assert drawn.shape == (200, 2, 3)
    assert (drawn[1::2, 1] == 3).all()
    assert drawn[1::2, 0].unique().tolist() == [0, 1]
    assert (drawn[::2, 0] == 1).all()
    assert drawn[::2, 1].unique().tolist() == [0, 2]


def test_smoothing_is_lidstones() -> None:
    generator = make((2,), smoothing=0.5)
    generator.fit(Samples.real(torch.tensor([[0, 0], [0, 2]]), torch.zeros(2).long()))
    expected = torch.tensor([3.5, 0.5, 1.5, 0.5], dtype=torch.float64) / 6
    assert torch.allclose(generator.probabilities[0, 0], expected, atol=1e-15)


def test_vectors_are_refused() -> None:
    spec = StreamSpec("vector", (2,), ("all",), 1)
    with pytest.raises(UserError, match="makes text, not vector data"):
        Categorical(spec, CategoricalOptions(), torch.device("cpu"), Progress(quiet=True))
