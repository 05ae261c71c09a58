"""`cl_bench.load_runs` and `cl_bench.reports.table` against numbers known by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cl_bench
from cl_bench.errors import UserError
from cl_bench.finished_run import Run
from cl_bench.reports import table
from cl_bench.tidy import COLUMNS, tidy

Make = Callable[..., Run]


def test_the_frame_is_tidy_and_typed(make_run: Make, tmp_path: Path) -> None:
    runs = [
        make_run("mixed", strategy_options={"real": 1.0, "lambda": 0.5, "synthetic_fraction": 1 / 3}),
        make_run("mixed", strategy_options={"real": 1.0, "lambda": 2.0, "synthetic_fraction": 2 / 3}),
        make_run("bootstrap", finished=2),
    ]
    frame = cl_bench.load_runs(tmp_path / "runs")
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
    assert len(frame) == sum(len(run.rows) for run in runs)
    of = frame.set_index("run")
    half, two, cut = (of.loc[run.id].iloc[0] for run in runs)
    assert (half["options"], two["options"], cut["options"]) == ("lambda=0.5", "lambda=2.0", "")
    assert (half["lambda"], half["real"], half["synthetic_fraction"]) == (0.5, 1.0, 1 / 3)
    assert np.isnan(cut["lambda"])
    assert (half["finished"], cut["finished"]) == (True, False)
    for run in runs:
        assert of.loc[run.id, "value"].tolist() == pytest.approx(run.rows["value"].tolist(), nan_ok=True)


def test_rows_of_an_interrupted_task_are_no_result(make_run: Make) -> None:
    run = make_run()
    (run.directory.task(2) / "finished.json").unlink()
    frame = tidy([Run(run.directory)])
    assert frame["after_task"].max() == 1
    assert not frame["finished"].any()


def test_versions_tell_runs_apart_only_where_all_have_them(make_run: Make) -> None:
    runs = [make_run(versions={"torch": "2.14.0"}), make_run(), make_run(versions={"evaluator:umap": "1"})]
    assert set(tidy(runs)["options"]) == {"torch@2.14.0", "torch@2.15.0"}
    assert set(tidy(runs[1:])["options"]) == {""}


def frame_of(make_run: Make) -> pd.DataFrame:
    """ACC after the last task: mixed 0.7, 0.9 and ddgr 0.5 on toy; mixed 0.4 on other."""
    runs = [make_run("mixed", seed=s, acc=a) for s, a in ((0, 0.7), (1, 0.9))]
    runs += [make_run("ddgr", acc=0.5), make_run("mixed", acc=0.4, benchmark="other")]
    frame = tidy(runs)
    frame.loc[frame["run"] == runs[3].id, "benchmark"] = "other"
    return frame


def test_mean_and_deviation_by_hand(make_run: Make) -> None:
    frame = frame_of(make_run)
    mean = table(frame, style="mean")
    assert isinstance(mean, pd.DataFrame)
    assert mean.columns.tolist() == ["other", "toy"]
    assert mean.loc["mixed"].tolist() == pytest.approx([0.4, 0.8], abs=1e-15)
    assert np.isnan(mean.loc["ddgr", "other"])
    # ((0.1)² + (0.1)²) / (2 − 1) = 0.02.
    std = table(frame, style="std")
    assert isinstance(std, pd.DataFrame)
    assert std.loc["mixed", "toy"] == pytest.approx(0.02**0.5, abs=1e-15)
    assert np.isnan(std.loc["ddgr", "toy"])
    n = table(frame, style="n")
    assert isinstance(n, pd.DataFrame)
    assert n.loc[["ddgr", "mixed"]].to_numpy().tolist() == [[0, 1], [1, 2]]
    text = table(frame)
    assert isinstance(text, pd.DataFrame)
    assert text.loc["mixed"].tolist() == ["0.400", "0.800 ± 0.141"]
    assert text.loc["ddgr"].tolist() == ["–", "0.500"]


def test_text_for_papers(make_run: Make, tmp_path: Path) -> None:
    frame = frame_of(make_run)
    assert table(frame, format="markdown", better="higher") == (
        "| strategy | other | toy |\n"
        "| :--- | ---: | ---: |\n"
        "| ddgr | – | 0.500 |\n"
        "| mixed | **0.400** | **0.800 ± 0.141** |\n"
    )
    latex = table(frame, format="latex", better="lower")
    assert r"ddgr & -- & \textbf{0.500} \\" in latex
    assert r"mixed & \textbf{0.400} & 0.800 $\pm$ 0.141 \\" in latex
    assert "n = 1 to 2 seeds" in latex
    assert table(frame, style="mean", format="csv").splitlines()[0] == "strategy,other,toy"


def test_after_each_task_and_by_class(make_run: Make) -> None:
    frame = tidy([make_run(seed=s, acc=a) for s, a in ((0, 0.7), (1, 0.9))])
    # ACC after task t is acc − 0.1 (2 − t).
    course = table(frame, columns="after_task", style="mean")
    assert isinstance(course, pd.DataFrame)
    assert course.loc["mixed", [0, 1, 2]].tolist() == pytest.approx([0.6, 0.7, 0.8])
    by_class = table(frame, "otdd:classifier", columns="class", style="mean")
    assert isinstance(by_class, pd.DataFrame)
    assert by_class.loc["mixed"].tolist() == [0.5, 1.5, 2.5]
    matrix = table(frame, "accuracy_class_il", rows="after_task", columns="on_task", style="mean")
    assert isinstance(matrix, pd.DataFrame)
    assert matrix.loc[2].tolist() == [0.5, 0.75, 1.0]
    both = table(frame, ["cas", "cas:real"], columns="metric", style="mean")
    assert isinstance(both, pd.DataFrame)
    assert both.loc["mixed"].to_dict() == {"cas": 0.75, "cas:real": 0.875}


def test_only_seeds_are_averaged(make_run: Make) -> None:
    runs = [make_run(seed=s, strategy_options={"lambda": lam}) for s, lam in ((0, 0.5), (1, 2.0))]
    frame = tidy(runs)
    with pytest.raises(UserError, match=r"more than one options \('lambda=0.5', 'lambda=2.0'\)"):
        table(frame)
    found = table(frame, rows=["strategy", "options"], style="n")
    assert isinstance(found, pd.DataFrame)
    assert found["toy"].tolist() == [1, 1]
    twin = make_run(seed=0, strategy_options={"lambda": 0.5}, evaluators=["other"])
    with pytest.raises(UserError, match="several runs of one seed"):
        table(tidy([runs[0], twin]))


def test_unfinished_runs_do_not_count(make_run: Make) -> None:
    found = table(tidy([make_run(acc=0.9), make_run(seed=1, acc=0.1, finished=2)]), style="n")
    assert isinstance(found, pd.DataFrame)
    assert found.loc["mixed", "toy"] == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metric": "average_acuracy_class_il"}, "did you mean 'average_accuracy_class_il'"),
        ({"rows": "strategie"}, "did you mean 'strategy'"),
        ({"style": "mean+-std"}, "unknown style"),
        ({"format": "html"}, "unknown format"),
        ({"metric": ["cas", "cas:real"]}, "2 metrics in one cell"),
    ],
)
def test_mistakes_are_named(make_run: Make, given: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        table(tidy([make_run()]), **given)  # type: ignore[arg-type]
