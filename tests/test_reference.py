"""The frozen reference: honest floor, fixed unit, the same for every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.progress import Progress
from cl_bench.reference import Reference
from cl_bench.samples import concat
from cl_bench.stream import TaskStream


@pytest.fixture(scope="module")
def reference(digits: TaskStream) -> Reference:
    reference = Reference(digits, torch.device("cpu"))
    reference.fit(Progress(quiet=True))
    return reference


def test_floor_is_kept_out_of_training(digits: TaskStream, reference: Reference) -> None:
    train = {tuple(x.flatten().tolist()) for x in reference.train.x}
    floor = {tuple(x.flatten().tolist()) for x in reference.floor.x}
    assert not train & floor
    assert reference.floor.counts() == concat(digits.test).counts() == reference.counts


def test_floor_and_test_are_exchangeable(digits: TaskStream, reference: Reference) -> None:
    # Their distance must look like that of any other split of the two into halves.
    test = concat(digits.test)
    both = reference.features(torch.cat([reference.floor.x, test.x])).double().numpy()
    n = len(reference.floor)
    actual = frechet_distance(both[:n], both[n:])
    rng = np.random.default_rng(0)
    null = [
        frechet_distance(both[p[:n]], both[p[n:]]) for p in (rng.permutation(len(both)) for _ in range(40))
    ]
    assert actual < max(null) * 1.5


def test_unit_is_the_total_variance_of_real_features(reference: Reference) -> None:
    features = reference.features(reference.floor.x).double()
    assert features.mean(0).abs().max() < 1e-4
    assert float((features - features.mean(0)).square().sum(1).mean()) == pytest.approx(1, abs=1e-4)


def test_knows_the_digits(digits: TaskStream, reference: Reference) -> None:
    assert reference.accuracy(digits) > 0.95


def test_the_same_whatever_the_global_state(digits: TaskStream, reference: Reference) -> None:
    torch.manual_seed(12345)
    again = Reference(digits, torch.device("cpu"))
    again.fit(Progress(quiet=True))
    assert again.hash() == reference.hash()
    copy = Reference(digits, torch.device("cpu"))
    copy.load_state_dict(reference.state_dict())
    assert copy.hash() == reference.hash()


def test_the_same_whatever_class_order_and_split(reference: Reference) -> None:
    other = SplitDigits(ClassIncremental(tasks=[4, 6], valid_fraction=0.3)).build(order_seed=5)
    again = Reference(other, torch.device("cpu"))
    again.fit(Progress(quiet=True))
    assert again.hash() == reference.hash()


def test_a_second_run_on_the_same_data_takes_the_reference_from_the_cache(
    digits: TaskStream, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))
    quiet = Progress(quiet=True)
    first = Reference(digits, torch.device("cpu"))
    first.fit_once(quiet)
    (file,) = (tmp_path / "references").glob("*.safetensors")
    second = Reference(digits, torch.device("cpu"))
    with monkeypatch.context() as patch:
        patch.setattr(Reference, "fit", lambda *_: pytest.fail("trained again"))
        second.fit_once(quiet)
    assert second.hash() == first.hash()

    file.write_bytes(b"damaged")
    third = Reference(digits, torch.device("cpu"))
    third.fit_once(quiet)
    assert third.hash() == first.hash()
