"""AuthPct: copies, strangers, and the closed form for new samples on a line."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from cl_bench.metrics import pairwise
from cl_bench.metrics.memorisation import auth_pct


def by_definition(train: np.ndarray, fake: np.ndarray) -> float:
    own = np.square(train[:, None] - train[None]).sum(-1)
    np.fill_diagonal(own, np.inf)
    cross = np.square(fake[:, None] - train[None]).sum(-1)
    authentic = [all(row.min() > own[i].min() for i in np.flatnonzero(row == row.min())) for row in cross]
    return 100 * np.mean(authentic)


def test_a_copy_of_the_training_set_is_not_authentic() -> None:
    train = np.random.default_rng(0).normal(size=(200, 40)) + 1e5
    assert auth_pct(train, train) == 0
    assert auth_pct(train, train[::-3] + 1e-9) == 0
    # Nor of one that holds duplicates, which lie at distance zero from their neighbours.
    doubled = np.concatenate([train, train])
    assert auth_pct(doubled, train) == 0
    assert auth_pct(np.zeros((5, 3)), np.zeros((4, 3))) == 0


def test_what_is_far_from_all_is_authentic() -> None:
    train = np.random.default_rng(1).normal(size=(50, 4))
    assert auth_pct(train, train + 100) == 100


def test_half_copies_give_half() -> None:
    train = np.random.default_rng(2).normal(size=(50, 4))
    assert auth_pct(train, np.concatenate([train, train + 100])) == pytest.approx(50)


def test_by_hand_on_a_line() -> None:
    # Training samples 0, 1 and 10, their nearest others at 1, 1 and 9.
    train = np.array([[0.0], [1.0], [10.0]])
    assert auth_pct(train, np.array([[-0.5], [-1.5], [2.5], [18.0], [20.0]])) == pytest.approx(60)
    # Exactly as far is not farther; 5.5 is as near to 1 as to 10, and to the latter it is close.
    assert auth_pct(train, np.array([[-1.0]])) == 0
    assert auth_pct(train, np.array([[5.5]])) == 0


def test_new_uniform_samples_on_a_line_give_a_third_on_average() -> None:
    # A new sample is authentic unless it and its neighbour are each other's nearest. Of N uniform samples the
    # N − 1 gaps between are exchangeable: each of the N − 3 inner ones is the smallest of three with chance
    # 1/3, each of the two outer ones the smaller of two with 1/2: N/3 mutual pairs, 2/3 of the samples.
    rng = np.random.default_rng(3)
    values = np.array([auth_pct(rng.uniform(size=(30, 1)), rng.uniform(size=(60, 1))) for _ in range(400)])
    standard_error = values.std(ddof=1) / math.sqrt(len(values))
    assert standard_error < 0.8
    assert abs(values.mean() - 100 / 3) < 5 * standard_error


def test_new_samples_in_the_plane_give_the_share_of_one_sided_neighbours() -> None:
    # Cox 1981: mutual with chance 6π/(8π + 3√3) in the plane; a small share lies at the edge.
    rng = np.random.default_rng(4)
    values = [auth_pct(rng.uniform(size=(1500, 2)), rng.uniform(size=(1500, 2))) for _ in range(8)]
    assert np.mean(values) == pytest.approx(100 * (1 - 6 * math.pi / (8 * math.pi + 3 * math.sqrt(3))), abs=2)


def test_agrees_with_the_definition_on_digits_where_distances_tie() -> None:
    x = load_digits().data[:600]
    train, fake = x[::2], x[1::2]
    expected = by_definition(train, fake)
    assert 20 < expected < 80
    assert auth_pct(train, fake) == pytest.approx(expected, abs=1e-12)
    assert auth_pct(train / 16.1 + 0.3, fake / 16.1 + 0.3) == pytest.approx(expected, abs=1e-12)


def test_invariant_to_order_shift_scale_rotation_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    train, fake = rng.normal(size=(80, 5)), rng.normal(size=(70, 5))
    expected = auth_pct(train, fake)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert auth_pct(rng.permutation(train), rng.permutation(fake)) == expected
    assert auth_pct(3 * train @ rotation - 7, 3 * fake @ rotation - 7) == expected
    assert auth_pct(torch.from_numpy(train), torch.from_numpy(fake)) == expected
    monkeypatch.setattr(pairwise, "_BLOCK", 1000)
    assert auth_pct(train, fake) == expected


@pytest.mark.parametrize(
    ("train", "fake", "message"),
    [
        (np.zeros((1, 2)), np.zeros((3, 2)), "train: 1 samples, need at least 2"),
        (np.zeros((3, 2)), np.zeros((0, 2)), "fake: 0 samples"),
        (np.zeros((3, 2)), np.full((3, 2), np.nan), "fake: features hold NaN"),
        (np.zeros((3, 2)), np.zeros((3, 1)), "the sets have 2 and 1 dimensions"),
    ],
)
def test_refuses_what_has_no_neighbours(train: np.ndarray, fake: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auth_pct(train, fake)
