"""--ci: two rows more beside a number, the same each time; without it nothing at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cl_bench import runner
from cl_bench.cli.main import main
from cl_bench.config import Request, chosen_evaluators, chosen_extractors, resolve
from cl_bench.evaluation import evaluate
from cl_bench.evaluators.otdd import OTDD
from cl_bench.features import Features
from cl_bench.finished_run import Run, find_runs
from cl_bench.intervals import Intervals
from cl_bench.metrics.gaussian import fit, squared_distance
from cl_bench.reports import comparison, lines, per_task
from cl_bench.reports.terminal import text_table
from cl_bench.sample_files import SampleSet
from cl_bench.samples import Samples, concat
from cl_bench.set_comparison import compare_sets
from cl_bench.stream import TaskStream

KEY = ["metric", "after_task", "on_task", "class"]
QUICK = ("accuracy", "frechet", "otdd")
ENDS = (":low", ":high")


def values(run: Run) -> pd.DataFrame:
    return run.rows.set_index(KEY)[["value", "n"]].sort_index()


def ends(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows.metric.str.endswith(ENDS)]


def test_two_more_rows_beside_numbers_that_stay_what_they_are(fast_run, tmp_path: Path) -> None:
    settings = {"tasks": [5, 5], "evaluators": (*QUICK, "cas", "depth")}
    off = fast_run("bootstrap", **settings)
    on = fast_run("bootstrap", ci=True, **settings)
    assert off.id != on.id
    assert off.rows.metric.str.endswith(ENDS).sum() == 0
    more = ends(on.rows)
    pd.testing.assert_frame_equal(
        on.rows.drop(more.index).drop(columns=["run", "seconds"]).reset_index(drop=True),
        off.rows.drop(columns=["run", "seconds"]),
        check_exact=True,
    )
    assert more["class"].isna().all()
    assert not more.metric.str.contains(":floor|:real|depth|forgetting").any()
    wide = on.rows[on.rows["class"].isna()].pivot(
        index=["after_task", "on_task"], columns="metric", values="value"
    )
    for metric in ("otdd:classifier", "fd:classifier", "cas"):
        assert wide[metric].notna().sum() == 5, (
            "after the first task 1 and all, after the second 1, 2 and all"
        )
        assert (wide[f"{metric}:low"] < wide[metric]).sum() == 5
        assert (wide[f"{metric}:high"] > wide[metric]).sum() == 5
    accuracy = wide["accuracy_class_il"].dropna()
    assert (wide["accuracy_class_il:low"].dropna() <= accuracy).all()
    assert len(wide["average_accuracy_class_il:high"].dropna()) == 2

    again = fast_run("bootstrap", output=tmp_path / "again", ci=True, **settings)
    pd.testing.assert_frame_equal(values(again), values(on), check_exact=True)


def test_an_accuracys_interval_is_the_binomials(fast_run) -> None:
    run = fast_run("bootstrap", ci=True, tasks=1, evaluators=("accuracy",))
    last = run.rows[(run.rows.after_task == 0) & run.rows.on_task.isna()].set_index("metric")
    p, n = last.value["average_accuracy_class_il"], last.n["average_accuracy_class_il"]
    width = last.value["average_accuracy_class_il:high"] - last.value["average_accuracy_class_il:low"]
    assert 0.5 < p < 0.99
    # The number of hits is whole, so the ends are known to 1/n.
    assert width == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / n), abs=2 / n)


def test_evaluate_adds_them_to_a_finished_run(fast_run, tmp_path: Path) -> None:
    settings = {"tasks": 1, "evaluators": QUICK}
    off = fast_run("bootstrap", **settings)
    before = (off.path / "metrics.jsonl").read_text()
    added = evaluate(off, ci=True, quiet=True)
    at_once = fast_run("bootstrap", output=tmp_path / "at once", ci=True, **settings)
    pd.testing.assert_frame_equal(values(added), values(at_once))
    assert (off.path / "metrics.jsonl").read_text() == before
    # Judged once more without: no interval stands beside a number that it is not of.
    assert not len(ends(evaluate(added, quiet=True).rows))
    # A run that has them has them again.
    pd.testing.assert_frame_equal(values(evaluate(at_once, quiet=True)), values(at_once))


def test_an_interrupted_run_goes_on_with_them(fast_run, tmp_path: Path, monkeypatch) -> None:
    settings = {"tasks": [5, 5], "evaluators": ("otdd",), "ci": True}
    whole = fast_run("bootstrap", tmp_path / "whole", **settings)
    judge = OTDD.evaluate

    def stop(self, evidence):
        yield from judge(self, evidence)
        if evidence.after_task == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(OTDD, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            fast_run("bootstrap", tmp_path / "cut", **settings)
    resumed = runner.resume(find_runs(tmp_path / "cut")[0].path, quiet=True)
    pd.testing.assert_frame_equal(values(resumed), values(whole), check_exact=True)
    assert len(ends(resumed.rows))


def test_what_is_defined_is_measured(fast_run) -> None:
    names = ("accuracy", "calibration", "cas", "conditional-frechet", "diversity", "frechet", "kernel")
    names = (*names, "memorisation", "otdd", "prdc")
    run = fast_run("joint", ci=True, tasks=1, limit=60, evaluators=names, extractors=("pca:4",))
    evaluators = chosen_evaluators(names)
    extractors = chosen_extractors(("pca:4",), evaluators)
    promised = {name for cls in evaluators for name in cls.definitions(extractors, ci=True)}
    assert {name for name in promised if name.endswith(ENDS)} == set(ends(run.rows).metric)
    assert {name for name in run.manifest["metrics"] if name.endswith(ENDS)} == set(ends(run.rows).metric)
    about = run.manifest["metrics"]["fd:pca:4:low"]
    assert about["doc"] == "end of its 95 % confidence interval, by subsampling"
    assert not any(name.endswith(ENDS) for cls in evaluators for name in cls.definitions(extractors))


def test_without_them_a_run_is_what_it_was(monkeypatch, tmp_path: Path) -> None:
    resolved = resolve(Request("mixed"))
    known: list[str] = []
    dumps = json.dumps
    monkeypatch.setattr(json, "dumps", lambda what, **rest: known.append(dumps(what)) or dumps(what, **rest))
    resolved.run_id()
    assert '"ci"' not in known[0]
    assert resolve(Request("mixed", ci=True)).run_id() != resolved.run_id()


def test_from_a_configuration_file_and_the_command_line(tmp_path: Path, capsys) -> None:
    file = tmp_path / "run.yaml"
    for text, arguments, expected in (
        ("ci: true", [], "ci: true"),
        ("ci: false", [], "ci: false"),
        ("seed: 1", ["--ci"], "ci: true"),
    ):
        file.write_text(f"strategy: naive\n{text}\n")
        assert main(["run", "--config", str(file), "--dry-run", "--quiet", *arguments]) == 0
        assert expected in capsys.readouterr().out
    file.write_text("ci: 3\n")
    assert main(["run", "--config", str(file), "--dry-run", "--quiet"]) == 2
    assert "ci must be bool, got 3" in capsys.readouterr().err


def sets(n: int, classes: int = 1) -> tuple[Features, Features]:
    rng = np.random.default_rng(0)
    y = np.arange(n) % classes
    return Features(rng.normal(size=(n, 3)), y), Features(rng.normal(1, 1, size=(n, 3)), y)


def distance(a: Features, b: Features) -> dict[str, float]:
    return {"fd": squared_distance(fit(a.x), fit(b.x)), "nan": float("nan")}


def test_what_cannot_have_one_is_left_out() -> None:
    asked, a, b = Intervals(True), *sets(20)
    (low, high) = asked.of_sets(distance, distance(a, b), a, b)["fd"]
    assert low < distance(a, b)["fd"] < high
    assert set(asked.of_sets(distance, distance(a, b), a, b)) == {"fd"}
    lonely = Features(b.x, np.array([7] + [0] * 19))
    assert asked.of_sets(distance, distance(a, lonely), a, lonely) == {}
    nothing = Features(b.x[:0], b.y[:0])
    assert asked.of_sets(distance, {"fd": float("nan")}, a, nothing) == {}
    assert asked.of_shares(np.zeros(0, dtype=bool)) is None
    assert asked.of_shares(np.array([True, False]), np.zeros(0, dtype=bool)) is None

    def refuses(*_: Features) -> dict[str, float]:
        raise AssertionError("asked for nothing")

    assert Intervals(False).of_sets(refuses, {"fd": 1.0}, a, b) == {}
    assert Intervals(False).of_shares(np.ones(3, dtype=bool)) is None


def test_classes_keep_their_shares() -> None:
    """Far apart and of very different size: without strata the mean would move with the classes."""
    y = np.array([0] * 90 + [1] * 10)
    part = Features(np.random.default_rng(0).normal(size=(100, 1)) + 100 * y[:, None], y)

    def mean(some: Features) -> dict[str, float]:
        assert (some.y == 0).sum() == 45
        return {"mean": float(some.x.mean())}

    low, high = Intervals(True).of_sets(mean, {"mean": float(part.x.mean())}, part)["mean"]
    # Two sides of 2.01 standard errors of a mean of 100 whose deviation within classes is 1.
    assert high - low == pytest.approx(2 * 2.01 / 10, rel=0.3)


@pytest.mark.parametrize("kept", [0, 3])
def test_a_collapsed_set_of_one_class(digits: TaskStream, kept: int) -> None:
    names = digits.spec.class_names
    everything = concat([digits.train, *digits.test])
    some = everything.first_per_class(dict.fromkeys(range(10), 30))
    one = everything.of((kept,))[:1]
    collapsed = Samples.real(one.x.repeat(20, 1, 1, 1), one.y.repeat(20))
    judges = ("conditional-frechet", "diversity", "frechet", "kernel", "memorisation", "otdd", "prdc")
    found = compare_sets(
        SampleSet("image", some, names), SampleSet("image", collapsed, names), judges, ("pca:3",), ci=True
    )
    overall = found[found["class"].isna()].set_index("metric")
    assert overall.value["missing_classes"] == 9
    assert overall.low["fd:pca:3"] < overall.value["fd:pca:3"] < overall.high["fd:pca:3"]
    # A class of which nothing is left has no distance, and is told.
    lost = found[(found.metric == "fd:pca:3") & found["class"].notna()].set_index("class").value
    assert lost.notna().sum() == 1
    assert len(lost) == 10
    assert torch.equal(collapsed.x[0], one.x[0])


def test_compared_sets_show_them(digits: TaskStream, tmp_path: Path, capsys) -> None:
    x = torch.randn(90, 3, generator=torch.Generator().manual_seed(0)).numpy()
    np.savez(tmp_path / "a.npz", x=x)
    np.savez(tmp_path / "b.npz", x=x + 1)
    command = ["compare-sets", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--quiet"]
    command += ["--evaluators", "frechet,memorisation"]
    assert main([*command, "--csv", str(tmp_path / "off.csv")]) == 0
    assert "[" not in capsys.readouterr().out
    assert main([*command, "--ci", "--csv", str(tmp_path / "on.csv")]) == 0
    told = capsys.readouterr().out
    on, off = (pd.read_csv(tmp_path / name).set_index("metric") for name in ("on.csv", "off.csv"))
    assert set(on.columns) - set(off.columns) == {"low", "high"}
    pd.testing.assert_frame_equal(on[off.columns], off)
    fd = on[on["class"].isna()].loc["fd:identity"]
    assert f"{fd.value:.3f} [{fd.low:.3f}, {fd.high:.3f}]" in told
    assert "In square brackets: 95 % confidence interval" in told


def test_tables_show_them(fast_run) -> None:
    run = fast_run("bootstrap", tasks=[5, 5], ci=True, evaluators=(*QUICK, "prdc"))
    overall = run.rows[run.rows.on_task.isna() & (run.rows.after_task == 1) & run.rows["class"].isna()]
    value = overall.set_index("metric").value
    name = "otdd:classifier"
    expected = f"{value[name]:.3f} [{value[f'{name}:low']:.3f}, {value[f'{name}:high']:.3f}]"
    tables = {table.name: table for table in per_task.tables(run)}
    assert f"{expected} (floor {value[f'{name}:floor']:.3f})" in text_table(tables["drift"])
    for table in ("accuracy", "drift", "otdd-by-task"):
        assert "In square brackets: 95 % confidence interval" in tables[table].caption
        assert "[" in tables[table].rows[1].cells[2].text
    assert "low" not in "".join(column.alone for table in tables.values() for column in table.columns)
    assert not any(cell.text.endswith(ENDS) for row in tables["further"].rows for cell in row.cells)

    (group,) = lines.groups([run])
    final = comparison.tables([group])[0]
    assert any(expected in cell.text for row in final.rows for cell in row.cells)
    assert "In square brackets, where there is one seed" in final.caption
    wide = per_task.wide(run)
    assert wide[f"{name}:low"].iloc[1] == value[f"{name}:low"]
    assert wide["accuracy_class_il_task_1:low"].notna().all()
    assert comparison.wide([group])[f"{name}:high_mean"].dropna().iloc[0] == value[f"{name}:high"]


def test_of_several_seeds_the_spread_is_shown(fast_run) -> None:
    settings = {"tasks": 1, "ci": True, "evaluators": ("otdd",)}
    runs = [fast_run("bootstrap", seed=seed, **settings) for seed in (0, 1)]
    (group,) = lines.groups(runs)
    (cell,) = [
        cell.text for row in comparison.tables([group])[0].rows for cell in row.cells if "±" in cell.text
    ]
    assert "[" not in cell
