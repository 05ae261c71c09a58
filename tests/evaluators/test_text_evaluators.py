"""Perplexity and tails through real runs: recomputed from what lies on disk, resumed, judged again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cl_bench
from cl_bench import runner, state
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.evaluation import evaluate
from cl_bench.evaluators.perplexity import PerplexityEvaluator
from cl_bench.evaluators.tails import Tails
from cl_bench.finished_run import Run, find_runs
from cl_bench.law import CategoricalLaw
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.stream import TaskStream

KEY = ["metric", "after_task", "on_task", "class"]


def stream_of(name: str, **options: object) -> TaskStream:
    cls = benchmarks.get(name)
    return cls(build_options(cls.Options, options, name)).build()


def values(run: Run) -> pd.Series:
    """By metric and task."""
    return run.rows.set_index(["metric", "after_task"])["value"]


def probabilities(run: Run, task: int) -> np.ndarray:
    law = run.restored(task, device="cpu").law()
    assert isinstance(law, CategoricalLaw)
    return law.probabilities[0].numpy()


@pytest.fixture
def zipf_run(tmp_path: Path) -> Callable[..., Run]:
    def go(**options: object) -> Run:
        given = {"generations": 3, "n": 300} | options
        return cl_bench.run("bootstrap", "zipf:20", output=tmp_path / "runs", quiet=True, options=given)

    return go


def test_perplexity_is_exp_of_the_cross_entropy(zipf_run) -> None:
    run = zipf_run(smoothing=1)
    found, first = values(run), probabilities(run, 0)
    test = stream_of("zipf:20", generations=3, n=300).test[0].x.flatten().numpy()
    for t in range(3):
        assert found["perplexity", t] == pytest.approx(np.exp(-np.log(probabilities(run, t)[test]).mean()))
        samples = run.samples(t)
        assert samples is not None
        # Documents of one token: each has the perplexity 1/p.
        documents = 1 / first[samples.x.flatten().numpy()]
        expected = {
            "perplexity_of_samples": np.exp(np.log(documents).mean()),
            "perplexity_of_samples:median": np.median(documents),
            "perplexity_of_samples:tail": np.quantile(documents, 0.999),
        }
        for metric, value in expected.items():
            assert found[metric, t] == pytest.approx(value), metric
        kept = state.load(run.path / f"task_{t:02d}" / "perplexity.safetensors")
        assert kept["samples"].numpy() == pytest.approx(documents)
        assert len(kept["real"]) == len(test)
    # Drift shows: the first generation is not the third.
    assert abs(found["perplexity", 2] / found["perplexity", 0] - 1) > 1e-3


def test_a_lost_token_makes_real_text_impossible(zipf_run) -> None:
    run = zipf_run(n=20, n_test=200)
    # JSON has no infinity: the row is there, and undefined.
    assert np.isnan(values(run)["perplexity", 2])
    assert np.isfinite(values(run)["perplexity_of_samples", 0])


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    lines = [f"{i} green bottles, standing on the wall .\n" for i in range(99, 0, -1)]
    path = tmp_path / "bottles.txt"
    path.write_text("".join(lines * 2), encoding="utf-8")
    return path


TINY = {"block": 8, "vocabulary": 300, "generations": 3, "layers": 1, "width": 16, "heads": 2}


@pytest.fixture
def text_run(poem: Path, tmp_path: Path) -> Callable[..., Run]:
    def go(folder: str = "runs", strategy: str = "bootstrap", **options: object) -> Run:
        given = TINY | {"generator.steps": 3} | options
        settings = {"output": tmp_path / folder, "limit": 30, "quiet": True, "options": given}
        return cl_bench.run(strategy, f"text:{poem}", "causal-lm", **settings)

    return go


@pytest.mark.parametrize("where", ["observe", "evaluate"])
def test_generation_0_is_the_same_after_a_stop(text_run, tmp_path: Path, monkeypatch, where: str) -> None:
    """Two tasks learned, or the second half judged, then killed: task 0's generator comes from disk."""
    whole = text_run("whole")
    assert len(values(whole)["perplexity_of_samples"]) == 3
    with monkeypatch.context() as patch:
        if where == "observe":
            cls = runner.resolve(runner.Request("bootstrap")).strategy
            observe = cls.observe

            def stop(self, task):
                if task.index == 2:
                    raise KeyboardInterrupt
                observe(self, task)

            patch.setattr(cls, "observe", stop)
        else:
            judge = PerplexityEvaluator.evaluate

            def stop(self, evidence):
                for measurement in judge(self, evidence):
                    yield measurement
                    if evidence.after_task == 1:
                        raise KeyboardInterrupt

            patch.setattr(PerplexityEvaluator, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            text_run("cut")
    (half,) = find_runs(tmp_path / "cut")
    resumed = runner.resume(half.path, quiet=True)
    columns = [*KEY, "value", "n"]
    pd.testing.assert_frame_equal(resumed.rows[columns], whole.rows[columns])


def test_judged_again_it_has_the_same_perplexities(text_run) -> None:
    run = text_run()
    before = run.rows.set_index(KEY)[["value", "n"]].sort_index()
    again = evaluate(run, quiet=True, device="cpu")
    pd.testing.assert_frame_equal(again.rows.set_index(KEY)[["value", "n"]].sort_index(), before)
    found = values(run)
    # Of 300 tokens and the one to begin with.
    assert 1 < found["perplexity", 0] < 301
    assert 1 < found["perplexity_of_samples:median", 0] <= found["perplexity_of_samples:tail", 0]


def test_preserving_a_tenth(text_run) -> None:
    run = text_run(strategy="mixed", real=0.1, lambda_=0.9, start="fresh")
    assert set(values(run)["generation_depth"]) == {1}
    replay = run.replay(0)
    assert replay is not None
    assert len(replay) == int(0.9 * 27)


def test_text_is_there_to_read(text_run) -> None:
    run = text_run(generations=1)
    text = (run.path / "task_00" / "samples.txt").read_text(encoding="utf-8")
    assert "=== real (test) 1, after generation 1" in text
    assert "green bottles" in text.partition("=== replay 1")[0]
    assert text.count("===") == 10


def test_covered_mass_and_kept_tokens(zipf_run) -> None:
    run = zipf_run(n=40)
    real = stream_of("zipf:20", generations=3, n=40).test[0].x.flatten().tolist()[:20]
    for t in range(3):
        samples = run.samples(t)
        assert samples is not None
        there = set(samples.x.flatten().tolist()[:20])
        counts = Counter(real)
        kept = [token for token in counts if token in there]
        assert values(run)["kept_tokens", t] == pytest.approx(len(kept) / len(counts))
        assert values(run)["covered_mass", t] == pytest.approx(sum(counts[k] for k in kept) / 20)
    # Tokens that are lost stay lost, and other real data lack some of the rare ones, too.
    assert values(run)["kept_tokens", 2] < 1
    assert 0.5 < values(run)["covered_mass:floor", 0] < 1


def test_tails_of_vectors_are_those_of_the_formula(tmp_path: Path) -> None:
    options = {"n": 1000, "generations": 2}
    settings = {"output": tmp_path, "quiet": True, "options": options, "evaluators": ("tails",)}
    run = cl_bench.run("bootstrap", "gaussian:2", **settings)
    real = stream_of("gaussian:2", **options).test[0].x.numpy()[:500]
    samples = run.samples(1)
    assert samples is not None
    z = samples.x.numpy()[:500]
    ratios = []
    for i in range(2):
        low, high = np.quantile(real[:, i], [0.01, 0.99], method="weibull")
        outside = [((x < low) | (x > high)).mean() for x in (z[:, i], real[:, i])]
        ratios.append(outside[0] / outside[1])
    assert values(run)["tail_mass", 1] == pytest.approx(np.mean(ratios))
    # Of another real set 1 on average, with a standard deviation of about a third for each tail.
    assert 0.2 < values(run)["tail_mass:floor", 0] < 2


def test_images_have_neither() -> None:
    stream = SplitDigits(SplitDigits.Options()).build()
    assert not PerplexityEvaluator.fits(stream, generative=True)
    assert not Tails.fits(stream, generative=True)
    text = stream_of("zipf:20", n=100)
    assert PerplexityEvaluator.fits(text, generative=True)
    assert not PerplexityEvaluator.fits(text, generative=False)
    assert Tails.fits(stream_of("gaussian1d", n=100), generative=True)
    assert not PerplexityEvaluator.fits(stream_of("gaussian1d", n=100), generative=True)
