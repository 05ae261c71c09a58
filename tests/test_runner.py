"""The loop: same seed same rows, resume bit for bit, nothing recomputed, honest failures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cl_bench import runner
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.evaluators.accuracy import Accuracy
from cl_bench.finished_run import Run, find_runs, load_run
from cl_bench.generators.gaussian import Gaussian
from cl_bench.run_directory import METRICS, RunDirectory
from cl_bench.strategies.bootstrap import Bootstrap
from cl_bench.strategies.naive import Naive


def values(run: Run) -> list[dict[str, object]]:
    """Rows without the one column that measures the clock."""
    lines = (run.path / METRICS).read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def test_same_seed_same_rows_other_seed_other_rows(fast_run, tmp_path: Path) -> None:
    first = fast_run("bootstrap", tmp_path / "a")
    second = fast_run("bootstrap", tmp_path / "b")
    other = fast_run("bootstrap", tmp_path / "a", seed=1)
    assert values(first) == values(second)
    assert first.id == second.id != other.id
    assert [r["value"] for r in values(first)] != [r["value"] for r in values(other)]


def test_run_twice_computes_once(fast_run, monkeypatch) -> None:
    first = fast_run("naive")
    stamp = (first.path / METRICS).stat().st_mtime_ns
    monkeypatch.setattr(Naive, "observe", None)
    assert fast_run("naive").path == first.path
    assert (first.path / METRICS).stat().st_mtime_ns == stamp


@pytest.mark.parametrize("strategy", ["bootstrap", "accumulate", "experience-replay"])
@pytest.mark.parametrize(("where", "at"), [("observe", 2), ("evaluate", 1), ("evaluate", 4)])
def test_interrupted_then_resumed_is_as_if_never_stopped(
    fast_run, tmp_path: Path, monkeypatch, strategy: str, where: str, at: int
) -> None:
    whole = fast_run(strategy, tmp_path / "whole")
    with monkeypatch.context() as patch:
        if where == "observe":
            cls = runner.resolve(runner.Request(strategy)).strategy
            observe = cls.observe

            def stop(self, task):
                observe(self, task)
                if task.index == at:
                    raise KeyboardInterrupt

            patch.setattr(cls, "observe", stop)
        else:
            evaluate = Accuracy.evaluate

            def stop(self, evidence):
                for i, measurement in enumerate(evaluate(self, evidence)):
                    yield measurement
                    if evidence.after_task == at and i == 1:
                        raise KeyboardInterrupt

            patch.setattr(Accuracy, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            fast_run(strategy, tmp_path / "cut")
    half = find_runs(tmp_path / "cut")[0]
    assert half.status == f"{at} of 5 tasks"
    resumed = runner.resume(half.path, quiet=True)
    assert values(resumed) == values(whole)
    assert resumed.status == "finished"
    for a, b in zip(resumed.costs, whole.costs, strict=True):
        assert a["replay_samples"] == b["replay_samples"]


def test_the_callers_random_state_is_untouched(fast_run) -> None:
    before = torch.get_rng_state()
    fast_run("naive")
    assert torch.equal(before, torch.get_rng_state())


def test_divergence_names_task_step_and_checkpoint(fast_run, tmp_path: Path, monkeypatch) -> None:
    fit = Gaussian.fit

    def diverge(self, data):
        if len(data.classes) > 4:
            raise TrainingDiverged("generator gaussian", 7, float("nan"))
        fit(self, data)

    monkeypatch.setattr(Gaussian, "fit", diverge)
    with pytest.raises(
        TrainingDiverged,
        match=r"task 3, generator gaussian: the loss is nan at step 7; .*task_01.checkpoint.safetensors",
    ):
        fast_run("bootstrap")
    run = find_runs(tmp_path / "runs")[0]
    assert run.status == "2 of 5 tasks"
    assert not (run.path / "task_02").exists()


def test_a_strategy_that_reads_tests_is_stopped(fast_run, digits, monkeypatch) -> None:
    def cheat(self, task):
        _ = digits.test[task.index]

    monkeypatch.setattr(Bootstrap, "observe", cheat)
    with pytest.raises(UserError, match="read the test sets"):
        fast_run("bootstrap")


def test_evaluators_share_the_replay_set(fast_run) -> None:
    run = fast_run("bootstrap")
    for t in range(5):
        replay, samples = run.replay(t), run.samples(t)
        assert replay is not None
        assert samples is not None
        # λ = 1: the judged samples are the replayed ones, newest first.
        order = torch.arange(len(replay) - 1, -1, -1)
        assert torch.equal(samples.x, replay[order].first_per_class(replay.counts()).x)
        depths = {c: replay.of((c,)).depth.unique().tolist() for c in replay.classes}
        assert depths == {c: [t - c // 2 + 1] for c in range(2 * (t + 1))}


def test_without_generator_generative_metrics_are_left_out(fast_run) -> None:
    run = fast_run("joint", generator="none")
    assert not any(metric.startswith(("otdd", "fd", "cas")) for metric in run.rows.metric)
    assert run.manifest["extractors"] == {}
    with pytest.raises(UserError, match="choose a --generator"):
        fast_run("bootstrap", generator="none")


def test_wrong_use_leaves_nothing_behind(fast_run, tmp_path: Path) -> None:
    for wrong in ({"tasks": 7}, {"lambda_": 1}, {"generator": "gauss"}, {"limit": 1}, {"device": "tpu"}):
        with pytest.raises(UserError):
            fast_run("naive", tmp_path / "runs", **wrong)
    assert not (tmp_path / "runs").exists()


def test_resume_refuses_other_code_and_damage(fast_run, tmp_path: Path) -> None:
    run = fast_run("naive")
    renamed = run.path.with_name("0" * 12)
    run.path.rename(renamed)
    with pytest.raises(UserError, match="begun by other code"):
        runner.resume(renamed, quiet=True)
    renamed.rename(run.path)
    (run.path / "task_04" / "finished.json").unlink()
    checkpoint = run.path / "task_03" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(UserError, match=r"checkpoint.safetensors is damaged"):
        runner.resume(run.path, quiet=True)
    with pytest.raises(UserError, match="no run"):
        load_run("nothing", tmp_path)


def test_manifest_says_everything_needed_to_repeat(fast_run) -> None:
    run = fast_run("mixed", lambda_=0.3, order_seed=3)
    manifest = RunDirectory(run.path).manifest()
    assert manifest["config"]["strategy_options"]["lambda"] == 0.3
    assert manifest["config"]["order_seed"] == 3
    assert sorted(c for task in manifest["tasks"] for c in task) == list(range(10))
    assert len(manifest["data"]["fingerprint"]) == 64
    assert len(manifest["extractors"]["classifier"]["hash"]) == 64
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert set(run.rows.metric) <= set(manifest["metrics"])
    assert (run.rows.n > 0).all()


def test_resume_names_the_code_that_changed(fast_run, monkeypatch) -> None:
    run = fast_run("naive")
    monkeypatch.setattr("cl_bench.config._engine", lambda: "edited")
    with pytest.raises(UserError, match=r"begun by other code \(cl-bench\)"):
        runner.resume(run.path, quiet=True)


def test_lost_rows_are_noticed(fast_run) -> None:
    run = fast_run("naive")
    metrics = run.path / METRICS
    text = metrics.read_text()
    for damaged in ("", "".join(text.splitlines(keepends=True)[:-1]), text[:-5]):
        metrics.write_text(damaged)
        with pytest.raises(UserError, match=r"rows of finished tasks, expected"):
            fast_run("naive")
    metrics.unlink()
    with pytest.raises(UserError, match=r"has 0 rows of finished tasks"):
        _ = load_run(run.path).rows


def test_resume_from_inside_and_after_a_move(fast_run, tmp_path: Path, monkeypatch) -> None:
    run = fast_run("naive")
    expected = values(run)
    (run.path / "task_04" / "finished.json").unlink()
    monkeypatch.chdir(run.path)
    assert values(runner.resume(".", quiet=True)) == expected
    (run.path / "task_03" / "finished.json").unlink()
    moved = tmp_path / "archive" / run.id
    moved.parent.mkdir()
    run.path.rename(moved)
    monkeypatch.chdir(moved.parent)
    resumed = runner.resume(run.id, quiet=True)
    assert resumed.path == moved
    assert values(resumed) == expected
    assert not run.path.exists()


def test_exemplars_are_drawn_by_the_runs_seed(fast_run) -> None:
    from cl_bench import state

    kept = []
    for seed in (0, 1):
        run = fast_run("experience-replay", seed=seed, per_class=5)
        kept.append(state.load(run.path / "task_04" / "checkpoint.safetensors")["kept.x"])
    assert kept[0].shape == kept[1].shape
    assert not torch.equal(kept[0], kept[1])


def test_a_run_killed_in_the_middle_of_a_training_goes_on_from_there(fast_run, tmp_path, monkeypatch) -> None:
    """The generator's steps are not done again, and the rows are those of an uninterrupted run."""
    from cl_bench import checkpoint
    from cl_bench.generators.vae import VAE

    options = {"generator.steps": 12, "generator.batch": 16, "tasks": 2}
    whole = fast_run("bootstrap", output=tmp_path / "whole", generator="vae", options=options)

    class Killed(BaseException):
        pass

    calls, loss = [], VAE.loss

    def counted(self, x, y, epsilon):
        calls.append(len(y))
        if len(calls) == 20:  # the eighth step of task 2
            raise Killed
        return loss(self, x, y, epsilon)

    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(VAE, "loss", counted)
    with pytest.raises(Killed):
        fast_run("bootstrap", output=tmp_path / "killed", generator="vae", options=options)
    assert len(list((tmp_path / "killed").rglob("training_01/*.safetensors"))) == 1
    resumed = fast_run("bootstrap", output=tmp_path / "killed", generator="vae", options=options)
    assert len(calls) == 20 + 12 - 7, "seven steps of task 2 were on disk"
    columns = [c for c in whole.rows.columns if c != "seconds"]
    assert whole.rows[columns].equals(resumed.rows[columns])
    assert not list((tmp_path / "killed").glob("*/*/*/training_*"))
