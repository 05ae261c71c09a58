"""Judging again: the same numbers from what is on disk, more by other evaluators and features."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cl_bench.cli.main import main
from cl_bench.errors import UserError
from cl_bench.evaluation import evaluate
from cl_bench.finished_run import Run, load_run

KEY = ["metric", "after_task", "on_task", "class"]
EVERYTHING = ("accuracy", "cas", "depth", "frechet", "otdd")


def values(run: Run) -> pd.DataFrame:
    return run.rows.set_index(KEY)[["value", "n"]].sort_index()


def test_judged_again_a_run_has_the_same_rows(fast_run) -> None:
    run = fast_run("bootstrap")
    before = (run.path / "metrics.jsonl").read_text()
    again = evaluate(run, quiet=True)
    pd.testing.assert_frame_equal(values(again), values(run))
    assert again.id == run.id
    assert (run.path / "metrics.jsonl").read_text() == before


@pytest.mark.parametrize("strategy", ["bootstrap", "mixed"])
def test_what_a_run_did_not_ask_is_found_later(strategy: str, fast_run, tmp_path: Path) -> None:
    """From restored weights where nothing is on disk: a run judged by accuracy alone keeps no samples."""
    at_once = fast_run(strategy, evaluators=EVERYTHING)
    later = fast_run(strategy, evaluators=("accuracy",), output=tmp_path / "later")
    assert not list(later.path.glob("task_*/samples.safetensors"))
    pd.testing.assert_frame_equal(values(evaluate(later, EVERYTHING, quiet=True)), values(at_once))
    only_otdd = fast_run(strategy, evaluators=("otdd",), output=tmp_path / "otdd")
    pd.testing.assert_frame_equal(values(evaluate(only_otdd, EVERYTHING, quiet=True)), values(at_once))


def test_other_features_stand_beside(fast_run) -> None:
    run = fast_run("bootstrap", evaluators=("otdd",))
    evaluate(run, extractors=("pixels",), quiet=True)
    more = evaluate(run, extractors=("pca:3",), quiet=True)
    names = ("classifier", "pixels", "pca:3")
    assert set(more.rows.metric) == {f"otdd:{name}{word}" for name in names for word in ("", ":floor")}
    assert "3 principal components" in more.manifest["metrics"]["otdd:pca:3"]["doc"]
    assert list(more.manifest["extractors"]) == list(names)
    own = more.rows[more.rows.metric.str.startswith("otdd:classifier")]
    assert len(own) == len(run.rows)


def test_naive_has_no_samples_to_judge(fast_run) -> None:
    run = fast_run("naive", generator="none", evaluators=("accuracy",))
    assert len(evaluate(run, ("accuracy", "otdd"), quiet=True).rows) == len(run.rows)
    with pytest.raises(UserError, match="otdd: strategy 'naive' on 'splitdigits' has nothing to judge so"):
        evaluate(run, ("otdd",), quiet=True)
    with pytest.raises(UserError, match="--extractors pixels has no effect"):
        evaluate(run, ("accuracy",), ("pixels",), quiet=True)


def test_from_the_command_line_to_the_report(fast_run, tmp_path: Path, capsys) -> None:
    run = fast_run("bootstrap", evaluators=("accuracy",))
    command = ["evaluate", run.id[:6], "--evaluators", "otdd", "--extractors", "pixels"]
    assert main([*command, "--output", str(tmp_path / "runs")]) == 0
    told = capsys.readouterr()
    assert "OTDD" in told.out
    assert "otdd:pixels" in (run.path / "report" / "rows.csv").read_text()
    assert load_run(run.path).rows.metric.str.startswith("otdd:pixels").any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing"),
        (["RUN", "--evaluators", "otd"], "did you mean 'otdd'?"),
        (["RUN", "--extractors", "pixel"], "did you mean 'pixels'?"),
    ],
)
def test_mistakes_are_one_line(fast_run, tmp_path: Path, capsys, arguments: list[str], message: str) -> None:
    run = fast_run("bootstrap", evaluators=("otdd",))
    capsys.readouterr()
    arguments = [str(run.path) if argument == "RUN" else argument for argument in arguments]
    assert main(["evaluate", *arguments, "--quiet", "--output", str(tmp_path / "runs")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not (run.path / "evaluation.json").exists()
