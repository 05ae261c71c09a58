"""Avalanche's strategies on real digits, through our runner: they learn, resume, and say what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl_bench import options as opts
from cl_bench import runner
from cl_bench.augmentation import Augmentation
from cl_bench.config import Config, Request, resolve
from cl_bench.errors import TrainingDiverged, UserError
from cl_bench.finished_run import Run, find_runs
from cl_bench.progress import Progress
from cl_bench.registry import strategies
from cl_bench.run_directory import METRICS
from cl_bench.seeds import isolated
from cl_bench.strategies.avalanche import AvalancheStrategy, Input
from cl_bench.strategies.avalanche_methods import METHODS
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream


def new(name: str, spec: StreamSpec, **options: object) -> AvalancheStrategy:
    cls = strategies.get(f"avalanche:{name}")
    setting = Setting(spec, torch.device("cpu"), Progress(quiet=True), None)
    with isolated(0, "strategy"):
        return cls(setting, opts.build(cls.Options, options, name))


def values(run: Run) -> list[dict[str, object]]:
    """Rows without the one column that measures the clock."""
    lines = (run.path / METRICS).read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]


def final(run: Run, metric: str = "average_accuracy_class_il") -> float:
    rows = run.rows
    return float(rows[(rows.metric == metric) & (rows.after_task == 4)].value.iloc[-1])


@pytest.mark.parametrize("name", ["EWC", "LwF", "SI", "Replay", "iCaRL", "DER", "Cumulative"])
def test_gives_accuracies_and_nothing_generative(fast_run, name: str) -> None:
    run = fast_run(f"avalanche:{name}", generator=None, classifier_steps=20, batch=16)
    assert run.status == "finished"
    assert run.manifest["config"]["strategy"] == f"avalanche:{name}"
    assert run.manifest["config"]["generator"] == "none"
    assert run.manifest["extractors"] == {}
    metrics = set(run.rows.metric)
    assert {"accuracy_class_il", "accuracy_task_il"} <= metrics
    assert all("accuracy" in m or "forgetting" in m or "transfer" in m for m in metrics)
    # Twenty steps are enough to know the newest classes from each other.
    assert final(run, "accuracy_task_il") > 0.7


def test_the_order_of_the_baselines_is_the_known_one(fast_run) -> None:
    wanted = {"generator": None, "limit": 60, "evaluators": ("accuracy",), "classifier_steps": 80}
    found = {n: final(fast_run(f"avalanche:{n}", **wanted)) for n in ("Naive", "EWC", "Replay", "Cumulative")}
    assert found["Naive"] < 0.3
    assert found["EWC"] < 0.4
    assert found["Replay"] > found["Naive"] + 0.4
    assert found["Cumulative"] > found["EWC"] + 0.5
    assert found["Cumulative"] > 0.9


@pytest.mark.parametrize("name", ["EWC", "SI", "DER", "iCaRL"])
def test_interrupted_then_repeated_is_as_if_never_stopped(
    fast_run, tmp_path: Path, monkeypatch, name: str
) -> None:
    quick = {"generator": None, "evaluators": ("accuracy",), "classifier_steps": 15, "batch": 16}
    whole = fast_run(f"avalanche:{name}", tmp_path / "whole", **quick)
    observe = AvalancheStrategy.observe

    def stop(self, task):
        observe(self, task)
        if task.index == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AvalancheStrategy, "observe", stop)
        with pytest.raises(KeyboardInterrupt):
            fast_run(f"avalanche:{name}", tmp_path / "cut", **quick)
    half = find_runs(tmp_path / "cut")[0]
    assert half.status == "3 of 5 tasks"
    resumed = runner.resume(half.path, quiet=True)
    assert resumed.status == "finished"
    assert values(resumed) == values(whole)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_and_its_state_predicts(digits: TaskStream, name: str) -> None:
    least = {"sample_size": 25} if name == "AGEM" else {}
    strategy = new(name, digits.spec, classifier_steps=3, batch=8, **least)
    for task in digits.tasks:
        with isolated(0, "observe", task.index):
            strategy.observe(task)
    x = digits.test[0].x[:20]
    logits = strategy.predict(x)
    assert logits.shape == (20, 10)
    assert logits.dtype == torch.float32
    assert bool(logits.isfinite().all())
    assert torch.allclose(strategy.predict(x[3:4]), logits[3:4], atol=1e-5)
    copy = new(name, digits.spec)
    assert not torch.equal(copy.predict(x), logits)
    copy.load_state_dict(strategy.state_dict())
    assert torch.equal(copy.predict(x), logits)


def test_a_state_dict_alone_does_not_train_on(digits: TaskStream) -> None:
    strategy = new("Replay", digits.spec, classifier_steps=3)
    strategy.load_state_dict(new("Replay", digits.spec).state_dict())
    with pytest.raises(UserError, match="cannot train on from a state dict"):
        strategy.observe(digits.tasks[0])


def test_icarl_puts_unseen_classes_last(digits: TaskStream) -> None:
    strategy = new("iCaRL", digits.spec, classifier_steps=30)
    strategy.observe(digits.tasks[0])
    logits = strategy.predict(digits.test[0].x)
    assert bool((logits[:, :2] >= -2).all())
    assert bool((logits[:, 2:] < -2).all())
    assert (logits.argmax(1) == digits.test[0].y).float().mean() > 0.95


def test_icarl_predicts_what_avalanches_classifier_does(digits: TaskStream) -> None:
    strategy = new("iCaRL", digits.spec, classifier_steps=30)
    for task in digits.tasks[:2]:
        strategy.observe(task)
    x = digits.test[0].x
    logits = strategy.predict(x)[:, :4]
    strategy.learner.model.eval()
    assert torch.allclose(logits, strategy.learner.model(x)[:, :4], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EWCC", "unknown Avalanche strategy 'EWCC'; did you mean 'EWC'"),
        ("replai", "did you mean 'Replay'"),
        ("JointTraining", "unknown Avalanche strategy 'JointTraining'; known: AGEM, "),
        ("", "needs an argument; say avalanche:NAME"),
    ],
)
def test_unknown_names_suggest_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        strategies.get(f"avalanche:{name}")


@pytest.mark.parametrize(
    ("typed", "spelled"), [("ewc", "EWC"), ("SynapticIntelligence", "SI"), ("si", "SI"), ("ICARL", "iCaRL")]
)
def test_names_have_one_spelling(typed: str, spelled: str) -> None:
    assert strategies.get(f"avalanche:{typed}").name == f"avalanche:{spelled}"


@pytest.mark.parametrize("name", METHODS)
def test_every_option_has_help_and_a_default_that_fits(name: str) -> None:
    options = strategies.get(f"avalanche:{name}").Options
    for option in opts.describe(options):
        assert option.help, option.key
        assert not option.required, option.key
        opts.build(options, {option.key: option.default}, name)


def test_options_reach_avalanche(digits: TaskStream) -> None:
    ewc = new("EWC", digits.spec, ewc_lambda="7.5", mode="online", decay_factor="0.5").learner
    plugin = next(plugin for plugin in ewc.plugins if hasattr(plugin, "ewc_lambda"))
    assert (plugin.ewc_lambda, plugin.mode, plugin.decay_factor) == (7.5, "online", 0.5)
    der = new("DER", digits.spec, mem_size=33, alpha=0.3, batch=12, optimizer="sgd").learner
    assert (der.mem_size, der.alpha, der.batch_size_mem, der.train_mb_size) == (33, 0.3, 12, 12)
    assert der.optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("EWC", {"ewc_lamda": 1}, "no option 'ewc_lamda'; did you mean 'ewc_lambda'"),
        ("EWC", {"train_epochs": 1}, "no option 'train_epochs'"),
        ("EWC", {"verbose": True}, "no option 'verbose'"),
        ("EWC", {"mode": "both"}, "mode=both: input should be 'separate' or 'online'"),
        ("EWC", {"mode": "online"}, "avalanche:EWC.*set `decay_factor`"),
        ("Replay", {"mem_size": 0}, "mem_size=0: input should be greater than or equal to 1"),
        ("LwF", {"alpha": -1}, "alpha=-1: input should be greater than or equal to 0"),
        ("AGEM", {"sample_size": 10}, "sample_size=10 is too small for 5 tasks; expected at least 25"),
    ],
)
def test_wrong_options_are_refused(digits: TaskStream, name: str, given: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        new(name, digits.spec, **given)


def test_the_configuration_makes_the_same_request() -> None:
    online = {"ewc_lambda": 3, "mode": "online", "decay_factor": 1}
    resolved = resolve(Request("avalanche:ewc", options=online))
    written = json.loads(json.dumps(resolved.config.as_dict()))
    assert resolve(Config.from_dict(written).request()).run_id() == resolved.run_id()


def test_a_generator_has_no_effect_and_is_refused() -> None:
    with pytest.raises(UserError, match="makes no data; --generator gaussian has no effect"):
        resolve(Request("avalanche:Naive", generator="gaussian"))


def test_stationary_streams_are_refused(fast_run) -> None:
    with pytest.raises(UserError, match="nothing could be forgotten"):
        fast_run("avalanche:Naive", generator=None, benchmark="digits")


def test_a_loss_gone_bad_stops_the_run(fast_run, tmp_path: Path) -> None:
    wild = {"generator": None, "optimizer": "sgd", "learning_rate": 1e20}
    with pytest.raises(TrainingDiverged, match=r"task 1, avalanche:Naive: the loss is \S+ at step \d+"):
        fast_run("avalanche:Naive", **wild)
    assert find_runs(tmp_path / "runs")[0].status == "0 of 5 tasks"


class Blackout(Augmentation):
    """Makes every image black, so that what went through it shows."""

    def __call__(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("name", ["LwF", "Replay", "Cumulative", "DER", "ER_ACE", "MIR", "AGEM", "iCaRL"])
def test_all_training_batches_are_augmented_and_nothing_else(
    digits: TaskStream, monkeypatch, name: str
) -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}
    forward = Input.forward

    def spy(self: Input, x: Tensor) -> Tensor:
        seen[self.training].append(x)
        return forward(self, x)

    monkeypatch.setattr(Input, "forward", spy)
    strategy = new(name, replace(digits.spec, augmentation=Blackout(crop=1)), classifier_steps=4, batch=16)
    for task in digits.tasks[:3]:
        strategy.observe(task)
    strategy.predict(digits.test[0].x)
    assert len(seen[True]) >= 12
    assert not any(bool(x.any()) for x in seen[True])
    assert all(bool(x.any()) for x in seen[False])


@pytest.mark.parametrize("name", ["Naive", "Replay", "DER", "Cumulative"])
def test_a_task_has_exactly_its_steps(digits: TaskStream, monkeypatch, name: str) -> None:
    strategy = new(name, digits.spec, classifier_steps=37, batch=32)
    steps = []
    step = strategy.learner.optimizer_step
    monkeypatch.setattr(
        strategy.learner,
        "optimizer_step",
        lambda: (steps.append(strategy.learner.optimizer.param_groups[0]["lr"]), step()),
    )
    for task in digits.tasks[:2]:
        strategy.observe(task)
    assert len(steps) == 2 * 37
    # The rate falls, and starts again with the next task.
    assert steps[0] == steps[37] == 1e-3
    assert steps[36] < 1e-5


@pytest.mark.slow
def test_published_accuracies_on_split_mnist(real_data, tmp_path: Path) -> None:
    """van de Ven and Tolias 2019, arXiv 1904.07734: in class-incremental learning EWC scores about 20 %, as
    fine-tuning does, and replay far more."""
    final = {}
    for name in ("avalanche:Naive", "avalanche:EWC", "avalanche:Replay", "avalanche:Cumulative"):
        setting = {"output": tmp_path, "data_root": real_data("mnist"), "evaluators": ("accuracy",)}
        rows = runner.run(name, "splitmnist", quiet=True, **setting).rows
        last = rows[(rows["metric"] == "average_accuracy_class_il") & (rows["after_task"] == 4)]
        final[name] = last["value"].item()
    assert final["avalanche:Naive"] == pytest.approx(0.2, abs=0.03)
    assert final["avalanche:EWC"] == pytest.approx(0.2, abs=0.03)
    assert final["avalanche:Replay"] > 0.6
    assert final["avalanche:Cumulative"] > 0.9
