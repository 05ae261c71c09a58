"""The slower evaluators on real digits: what is promised is there, and floors are where they must be."""

from __future__ import annotations

import pandas as pd
import pytest

from cl_bench import registry
from cl_bench.config import chosen_evaluators, chosen_extractors
from cl_bench.finished_run import Run
from cl_bench.reports import comparison, lines, per_task

ADDED = (
    "alignment",
    "calibration",
    "conditional-frechet",
    "diversity",
    "kernel",
    "memorisation",
    "prdc",
    "transport",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """After all real digits: a closed-form generator, and one whose labels mean nothing."""
    from cl_bench.runner import run

    settings = {
        "generator": "gaussian",
        "quiet": True,
        "classifier_steps": 100,
        "evaluators": ADDED,
        "extractors": ("pca:16", "pixels"),
        "output": tmp_path_factory.mktemp("runs"),
        "options": {"tasks": [5, 5]},
    }
    return {name: run(name, **settings) for name in ("joint", "bootstrap")}


def last(run: Run) -> pd.Series:
    """Over all classes, after the last task."""
    rows = run.rows
    rows = rows[(rows.after_task == 1) & rows.on_task.isna() & rows["class"].isna()]
    return rows.set_index("metric").value


def test_every_metric_promised_is_measured(runs: dict[str, Run]) -> None:
    evaluators = chosen_evaluators(ADDED)
    extractors = chosen_extractors(("pca:16", "pixels"), evaluators)
    promised = {name for cls in evaluators for name in cls.definitions(extractors)}
    for run in runs.values():
        assert set(run.rows.metric) == promised
        assert set(run.manifest["metrics"]) == promised


def test_only_quick_ones_judge_unasked() -> None:
    unasked = {cls.name for cls in chosen_evaluators(None)}
    assert unasked.isdisjoint(ADDED)
    assert {cls.name for cls in chosen_evaluators(["all"])} == set(registry.evaluators.names())
    assert [cls.name for cls in chosen_evaluators(["all", "otdd"])] == registry.evaluators.names()


@pytest.mark.parametrize("metric", ["kid", "w2", "sliced_w2", "sliced_otdd"])
def test_replay_is_farther_than_real_data_and_copies_of_copies_farther(
    runs: dict[str, Run], metric: str
) -> None:
    joint, bootstrap = last(runs["joint"]), last(runs["bootstrap"])
    name = f"{metric}:pca:16"
    assert joint[f"{name}:floor"] == bootstrap[f"{name}:floor"] < joint[name] < bootstrap[name]


@pytest.mark.parametrize("metric", ["cfd", "cfd_weighted", "cfd_between", "cfd_joint"])
def test_the_right_moments_are_all_that_frechet_distances_see(runs: dict[str, Run], metric: str) -> None:
    found = last(runs["joint"])
    assert found[f"{metric}:pca:16"] == pytest.approx(found[f"{metric}:pca:16:floor"], rel=0.4)


def test_shares_are_shares_and_real_data_have_them_all(runs: dict[str, Run]) -> None:
    found = last(runs["joint"])
    for metric in ("precision", "recall", "coverage"):
        assert 0 <= found[f"{metric}:pca:16"] <= 1
        assert found[f"{metric}:pca:16:floor"] > 0.85
    assert found["density:pca:16:floor"] == pytest.approx(1, abs=0.15)


def test_alignment_of_real_data_is_perfect_but_for_sampling(runs: dict[str, Run]) -> None:
    for run in runs.values():
        found = last(run)
        for where in ("pca:16", "pixels"):
            assert found[f"centroid_cosine:{where}:floor"] > 0.9
            assert found[f"cka:{where}:floor"] > 0.9
            assert found[f"domain_auc:{where}:floor"] == pytest.approx(0.5, abs=0.07)
            assert found[f"domain_auc:{where}"] >= found[f"domain_auc:{where}:floor"] - 0.03


def test_alignment_in_the_classifier_that_drifts(runs: dict[str, Run]) -> None:
    found = last(runs["joint"])
    # Its floor are training data of that classifier, hence lower than in a space fitted to others.
    for metric in ("centroid_cosine", "cka"):
        assert 0.8 < found[f"{metric}:own:floor"] <= 1
        assert 0.8 < found[f"{metric}:own"] <= 1


def test_nothing_is_missing_and_nothing_copied(runs: dict[str, Run]) -> None:
    found = last(runs["joint"])
    assert found["missing_classes"] == 0
    assert 30 < found["auth_pct:pca:16:real"] < 90
    assert found["auth_pct:pca:16"] > 30


def test_recall_of_each_class_is_the_tasks_accuracy(runs: dict[str, Run]) -> None:
    rows = runs["joint"].rows
    recall = rows[(rows.metric == "recall_class_il") & (rows.after_task == 1)]
    assert sorted(recall["class"]) == list(range(10))
    assert (recall.value * recall.n).sum() / recall.n.sum() > 0.9
    assert 0 <= last(runs["joint"])["ece_class_il"] < 0.2


def test_many_metrics_have_a_table_of_their_own(runs: dict[str, Run]) -> None:
    alone = {table.name: table for table in per_task.tables(runs["joint"])}
    assert "accuracy" not in alone
    assert len(alone["drift"].columns) < 14
    further = alone["further"]
    (row,) = [row for row in further.rows if row.cells[-1].text == "cfd:pca:16"]
    assert [cell.text.count("floor") for cell in row.cells] == [0, 1, 1, 0]
    (group,) = lines.groups(list(runs.values()))
    together = {table.name: table for table in comparison.tables([group])}
    (row,) = [row for row in together["further-1"].rows if row.cells[-1].text == "cfd:pca:16"]
    assert len(row.cells) == len(together["further-1"].columns) == 5
