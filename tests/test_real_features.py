"""Real data go through a network once: in a run, and in all runs on the same data; numbers stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from cl_bench import register_evaluator, register_extractor, registry
from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.evaluation import evaluate
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.extractor import Extractor
from cl_bench.extractors.published import Published
from cl_bench.extractors.random_conv import RandomConv
from cl_bench.features import Features
from cl_bench.finished_run import Run
from cl_bench.progress import Progress
from cl_bench.real_features import RealFeatures
from cl_bench.real_sets import RealSets
from cl_bench.rows import Measurement
from cl_bench.samples import concat
from cl_bench.stream import TaskStream

CPU = torch.device("cpu")
EVALUATORS = ("frechet", "memorisation")


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each call of the extractor "counting", a network; the cache is empty."""
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path / "cache"))
    seen: list[int] = []

    @register_extractor("counting")
    class Counting(RandomConv):
        """Random features that count."""

        scaled = False  # fitting passes nothing through it

        def raw(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return super().raw(x)

    return seen


def values(run: Run) -> pd.DataFrame:
    return run.rows.drop(columns="seconds")


def test_after_each_task_only_the_replay_is_new(fast_run, passes: list[int], tmp_path: Path) -> None:
    settings = {"evaluators": EVALUATORS, "extractors": ("counting",), "tasks": [5, 5]}
    cold = fast_run("bootstrap", **settings)
    stream = SplitDigits(ClassIncremental(tasks=[5, 5])).build(limit=20)
    sets = RealSets(stream)
    replayed = [sum(sets.counts[c] for c in stream.seen(t)) for t in range(2)]
    real, train = sum(sets.counts.values()), len(stream.train)
    assert sorted(passes) == sorted([real, real, train, *replayed])
    assert passes[-1:] == replayed[1:], "what is real was done after the first task"

    passes.clear()
    warm = fast_run("bootstrap", output=tmp_path / "warm", **settings)
    assert passes == replayed
    pd.testing.assert_frame_equal(values(warm), values(cold), check_exact=True)

    passes.clear()
    pd.testing.assert_frame_equal(values(evaluate(cold, quiet=True)), values(cold), check_exact=True)
    assert passes == replayed

    # Another seed and class order have other tasks, and the same real data.
    passes.clear()
    fast_run("bootstrap", seed=1, order_seed=3, **settings)
    assert len(passes) == 2


def test_what_is_damaged_is_made_again(fast_run, passes: list[int], tmp_path: Path) -> None:
    settings = {"evaluators": EVALUATORS, "extractors": ("counting",), "tasks": 1, "limit": 10}
    whole = fast_run("bootstrap", **settings)
    before = list(passes)
    kept = [
        *(tmp_path / "cache").glob("features/*.safetensors"),
        *(tmp_path / "cache").glob("floors/*.safetensors"),
    ]
    assert len(kept) == 3 + 1
    for file in kept:
        file.write_bytes(file.read_bytes()[:-9])
    passes.clear()
    again = fast_run("bootstrap", output=tmp_path / "again", **settings)
    assert passes == before
    pd.testing.assert_frame_equal(values(again), values(whole), check_exact=True)


@register_evaluator("counted")
class Counted(Evaluator):
    """Squared distance of means, which tells what it was asked."""

    needs = frozenset({"samples", "features"})
    default = False  # other tests' runs have nothing to do with it
    calls: ClassVar[list[int]] = []

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        def distance(a: Features, b: Features) -> float:
            self.calls.append(len(a))
            return float(np.square(a.x.mean(0) - b.x.mean(0)).sum())

        yield from evidence.compare("near", distance)
        yield from evidence.compare("far", lambda a, b: -distance(a, b))


def test_floors_are_measured_once(fast_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path / "cache"))
    settings = {"evaluators": ("counted",), "extractors": ("pca:4",), "classes": 4, "tasks": 2}
    Counted.calls.clear()
    cold = fast_run("bootstrap", **settings)
    # Two metrics. Replay: all seen (after task 1 the same as task 1) and each task and class. Floors: each
    # once, so that after task 2 only all four classes, task 2 and its two classes are new.
    replay, floors = (1 + 2) + (1 + 2 + 4), (1 + 2) + (1 + 1 + 2)
    assert len(Counted.calls) == 2 * (replay + floors)

    Counted.calls.clear()
    warm = fast_run("bootstrap", seed=1, output=tmp_path / "warm", **settings)
    assert len(Counted.calls) == 2 * replay
    kept = [run.rows[run.rows.metric.str.endswith(":floor")].value for run in (cold, warm)]
    assert kept[0].tolist() == kept[1].tolist()
    assert len(kept[0]) == 2 * (1 + 1 + 2 + 1 + 2 + 4)

    stream = SplitDigits(ClassIncremental(tasks=2, classes=4)).build(limit=20)
    extractor = registry.extractors.get("pca:4")(stream.spec, CPU)
    real = real_features(stream)
    extractor.fit(real.sets, Progress(quiet=True))
    rows = cold.rows[(cold.rows.metric == "near:pca:4:floor") & (cold.rows["class"] == 3)]
    sides = [real.features(part, extractor, (3,)).x.mean(0) for part in ("real", "floor")]
    assert rows.value.tolist() == [pytest.approx(float(np.square(sides[0] - sides[1]).sum()), rel=1e-9)]
    negative = cold.rows[cold.rows.metric == "far:pca:4:floor"].value
    assert negative.tolist() == [-v for v in cold.rows[cold.rows.metric == "near:pca:4:floor"].value]


def real_features(stream: TaskStream) -> RealFeatures:
    return RealFeatures(stream, RealSets(stream), Progress(quiet=True))


@pytest.mark.parametrize("name", ["random-conv", "pca:4", "pixels"])
def test_they_are_the_features_of_the_samples_named(digits: TaskStream, name: str) -> None:
    extractor: Extractor = registry.extractors.get(name)(digits.spec, CPU)
    sets = RealSets(digits)
    extractor.fit(sets, Progress(quiet=True))
    some = (8, 3)
    counts = {c: sets.counts[c] for c in some}
    expected = {
        "real": concat(digits.test).first_per_class(counts),
        "floor": sets.floor.of((3, 8)),
        "train": digits.train.of(some),
    }
    for part, samples in expected.items():
        found = real_features(digits).features(part, extractor, some)  # type: ignore[arg-type]
        assert (found.y == samples.y.numpy()).all()
        # One pass over all classes or over two: the same but for rounding in float32.
        assert found.x == pytest.approx(Features.by(extractor, samples).x, abs=1e-6)


def test_quick_features_leave_no_file(digits: TaskStream, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))
    for name, files in (("pixels", 0), ("random-conv", 1)):
        extractor = registry.extractors.get(name)(digits.spec, CPU)
        real_features(digits).features("real", extractor, (0, 1))
        assert len(list(tmp_path.rglob("*.safetensors"))) == files


def test_other_data_weights_or_code_are_other_features(
    digits: TaskStream, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))

    def kept(stream: TaskStream, extractor: Extractor) -> int:
        real_features(stream).features("floor", extractor, (0, 1))
        return len(list(tmp_path.rglob("*.safetensors")))

    extractor: Extractor = registry.extractors.get("random-conv")(digits.spec, CPU)
    few = SplitDigits(ClassIncremental()).build(limit=20)
    assert [kept(digits, extractor), kept(few, extractor), kept(digits, extractor)] == [1, 2, 2]
    extractor.fit(RealSets(digits), Progress(quiet=True))
    assert kept(digits, extractor) == 3
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read(p) + b"#" * (p.name == "random_conv.py"))
    assert kept(digits, extractor) == 4


def test_published_weights_count_wherever_they_lie(digits: TaskStream) -> None:
    class Linear(Published):
        """One layer."""

        name = "linear"

        @classmethod
        def url(cls) -> str:
            return "nowhere"

        def of_batch(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x.float().flatten(1))

    one, other = Linear(digits.spec, CPU), Linear(digits.spec, CPU)
    one.net, other.net = torch.nn.Linear(3 * 64, 2), torch.nn.Linear(3 * 64, 2)
    assert one.hash() != other.hash()
    other.net.load_state_dict(one.net.state_dict())
    assert one.hash() == other.hash()
