"""splitdigits against the facts of the data set."""

from __future__ import annotations

import torch

from cl_bench.samples import concat
from cl_bench.stream import TaskStream

# The same on every machine: a changed value means another benchmark, and a new version number.
FINGERPRINT = "e789c16c9c40"


def test_all_1797_digits_are_there(digits: TaskStream) -> None:
    from sklearn.datasets import load_digits

    train = concat(part for task in digits.tasks for part in (task.train, task.valid))
    test = concat(digits.test)
    assert len(train) + len(test) == 1797
    assert len(test) == 359
    everything = concat([train, test])
    published = load_digits().target
    assert everything.counts() == {c: int((published == c).sum()) for c in range(10)}
    # 17 grey levels survive the conversion to 8 bits.
    assert len(everything.x.unique()) == 17
    assert everything.x.dtype == torch.uint8
    assert tuple(everything.x.shape[1:]) == (1, 8, 8)


def test_split_is_stratified(digits: TaskStream) -> None:
    shares = [
        n / total
        for n, total in zip(
            concat(digits.test).counts().values(),
            (178, 182, 177, 183, 181, 182, 181, 179, 174, 180),
            strict=True,
        )
    ]
    assert all(abs(share - 0.2) < 0.005 for share in shares)


def test_train_and_test_are_apart(digits: TaskStream) -> None:
    train = concat(part for task in digits.tasks for part in (task.train, task.valid))
    rows = {tuple(image.flatten().tolist()) for image in train.x}
    shared = sum(tuple(image.flatten().tolist()) in rows for image in concat(digits.test).x)
    assert shared == 0


def test_fingerprint(digits: TaskStream) -> None:
    assert digits.fingerprint.startswith(FINGERPRINT)
