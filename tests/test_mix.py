"""The mix: counts of every policy."""

from __future__ import annotations

import pytest
import torch

from cl_bench.errors import UserError
from cl_bench.mix import Mix, lambda_of, repeated, with_share
from cl_bench.samples import Samples


@pytest.fixture
def real() -> Samples:
    y = torch.tensor([3] * 10 + [5] * 7)
    return Samples.real(torch.arange(17).float().unsqueeze(1), y)


@pytest.mark.parametrize(
    ("mix", "kept"),
    [
        (Mix(), {}),
        (Mix(real=1), {3: 10, 5: 7}),
        (Mix(real=0.1), {3: 1, 5: 1}),
        (Mix(exemplars=8), {3: 8, 5: 7}),
    ],
)
def test_kept(mix: Mix, kept: dict[int, int], real: Samples) -> None:
    part = mix.kept(real)
    assert part.counts() == kept
    # What is kept are real samples of the set, each at most once.
    assert len(set(part.x.flatten().tolist())) == len(part)
    assert set(part.x.flatten().tolist()) <= set(real.x.flatten().tolist())


@pytest.mark.parametrize(
    ("lam", "expected"), [(0, {}), (0.1, {3: 1}), (0.5, {3: 5, 5: 3}), (2, {3: 20, 5: 14})]
)
def test_replay_is_the_floor_of_lambda_n(lam: float, expected: dict[int, int]) -> None:
    y = Mix(lambda_=lam).replay_labels({3: 10, 5: 7})
    assert {c: int((y == c).sum()) for c in y.unique().tolist()} == expected


@pytest.mark.parametrize(("growth", "sizes"), [(0.0, [10, 10, 10]), (1.0, [10, 20, 30]), (1.5, [10, 28, 51])])
def test_synthetic_sets_grow_with_the_generation(growth: float, sizes: list[int]) -> None:
    mix = Mix(lambda_=1, growth=growth)
    assert [len(mix.replay_labels({3: 10}, t)) for t in (1, 2, 3)] == sizes


def test_a_subsample_is_as_large_as_the_real_set_and_repeats_nothing(real: Samples) -> None:
    pool = Samples(
        torch.arange(60).float().unsqueeze(1), torch.tensor([3] * 40 + [5] * 20), torch.zeros(60).long()
    )
    part = Mix(real=1, lambda_=1, accumulate=True, subsample=True).drawn(pool, real.counts())
    assert part.counts() == {3: 10, 5: 7}
    assert len(set(part.x.flatten().tolist())) == 17
    assert max(part.x[part.y == 3].flatten().tolist()) > 10, "drawn from all of the pool"
    assert Mix(real=1).drawn(pool, real.counts()) is pool


def test_synthetic_fraction_and_lambda_convert_both_ways() -> None:
    for share in (0.0, 0.1, 0.5, 0.9):
        assert Mix(real=1, lambda_=lambda_of(share)).synthetic_fraction == pytest.approx(share)
        assert Mix(real=0.5, lambda_=lambda_of(share, 0.5)).synthetic_fraction == pytest.approx(share)
    assert Mix(real=0.1, lambda_=0.9).synthetic_fraction == pytest.approx(0.9)


@pytest.mark.parametrize(
    "bad", [{"real": 1.5}, {"lambda_": -0.1}, {"exemplars": 0}, {"exemplars": 2, "real": 0.5}]
)
def test_out_of_range_is_an_error(bad: dict[str, float]) -> None:
    with pytest.raises(UserError):
        Mix(**bad)  # type: ignore[arg-type]
    with pytest.raises(UserError):
        lambda_of(1.0)


def test_repeating_brings_classes_up_and_leaves_the_rest() -> None:
    y = torch.tensor([0, 0, 1, 1, 1, 2])
    samples = Samples(torch.arange(6), y, torch.ones_like(y))
    assert repeated(samples, {0: 2, 1: 1}) is samples
    more = repeated(samples, {0: 5, 1: 3, 2: 2})
    assert more.counts() == {0: 5, 1: 3, 2: 2}
    assert more.of((0,)).x.tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(("share", "expected"), [(0.5, (30, 30)), (1 / 3, (30, 60)), (0.9, (90, 10))])
def test_share_of_two_sets_by_repeating_one(share: float, expected: tuple[int, int]) -> None:
    a, b = (Samples.real(torch.arange(n), torch.zeros(n).long()) for n in (30, 10))
    a, b = with_share(a, b, share)
    assert (len(a), len(b)) == expected


def test_repeating_a_set_for_its_share_favours_no_class() -> None:
    """Sets are sorted by class: one and a half times them is one and a half times each class."""
    y = torch.arange(4).repeat_interleave(10)
    a, b = with_share(Samples.real(torch.arange(40), y), Samples.real(torch.zeros(20), y[:20]), 0.75)
    assert a.counts() == {0: 15, 1: 15, 2: 15, 3: 15}
    assert a.x.bincount().unique().tolist() == [1, 2]
    assert len(b) == 20
