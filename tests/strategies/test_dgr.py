"""Deep generative replay: the old solver's labels, the importance of new data, soft targets, resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl_bench import state as states
from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.options import build
from cl_bench.progress import Progress
from cl_bench.samples import Samples, concat
from cl_bench.seeds import isolated
from cl_bench.strategies.dgr import DGR, DGROptions, importance, mixed
from cl_bench.strategy import Setting
from cl_bench.stream import TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def make(digits: TaskStream, **options: object) -> DGR:
    def generator() -> Gaussian:
        return Gaussian(digits.spec, GaussianOptions(), CPU, QUIET)

    settings = {"classifier_steps": 60} | options
    with isolated(0, "init"):
        return DGR(Setting(digits.spec, CPU, QUIET, generator), DGROptions(**settings))  # type: ignore[arg-type]


def learn(strategy: DGR, digits: TaskStream, *tasks: int) -> None:
    for index in tasks:
        with isolated(0, "observe", index):
            strategy.observe(digits.tasks[index])


def answers(strategy: DGR, x: Tensor, seen: tuple[int, ...]) -> Tensor:
    """The solver's softmax over `seen`, by hand."""
    scores = strategy.predict(x)[:, list(seen)].double().exp()
    return (scores / scores.sum(1, keepdim=True)).float()


def test_the_old_solver_labels_the_replay(digits: TaskStream, monkeypatch) -> None:
    # A generator that mixes up the two classes it knows.
    strategy = make(digits)
    fit = type(strategy.generator).fit

    def swapped(self: Gaussian, data: Samples) -> None:
        fit(self, Samples(data.x, 1 - data.y, data.depth))

    with monkeypatch.context() as patch:
        patch.setattr(Gaussian, "fit", swapped)
        learn(strategy, digits, 0)
    assert strategy.replay is not None
    asked = torch.tensor([0] * (len(strategy.replay) // 2) + [1] * (len(strategy.replay) // 2))
    # Asked for zeros it made ones, and the solver saw it.
    assert ((strategy.replay.y == 1 - asked).float().mean()) > 0.95
    assert torch.equal(strategy.replay.y, answers(strategy, strategy.replay.x, (0, 1)).argmax(1))


def test_a_sample_is_as_deep_as_the_class_it_is_called(digits: TaskStream, monkeypatch) -> None:
    """Not as the one that was asked for: else a sample of a new class, called by an old name, would make the
    old class less deep for good."""
    strategy = make(digits)
    fit = type(strategy.generator).fit

    def reversed_(self: Gaussian, data: Samples) -> None:
        fit(self, Samples(data.x, data.y.max() - data.y, data.depth))

    with monkeypatch.context() as patch:
        patch.setattr(Gaussian, "fit", reversed_)
        learn(strategy, digits, 0, 1, 2)
    replay = strategy.replay
    assert replay is not None
    deepest = {c: replay.of((c,)).depth.unique().tolist() for c in replay.classes}
    assert deepest == {0: [3], 1: [3], 2: [2], 3: [2], 4: [1], 5: [1]}


def test_requested_labels_stay_and_replay_is_uniform_over_seen_classes(digits: TaskStream) -> None:
    strategy = make(digits, labels="requested")
    learn(strategy, digits, 0, 1)
    assert strategy.replay is not None
    real = [len(digits.tasks[i].train) for i in (0, 1)]
    assert set(strategy.replay.counts().values()) == {round(sum(real) / 4)}
    assert strategy.replay.of((0,)).depth.unique().tolist() == [2]
    assert strategy.replay.of((3,)).depth.unique().tolist() == [1]
    few = make(digits, per_class=7, labels="requested")
    learn(few, digits, 0)
    assert few.replay is not None
    assert few.replay.counts() == {0: 7, 1: 7}


def fitted(strategy: DGR, digits: TaskStream, monkeypatch) -> dict[str, object]:
    """What solver and generator are trained with at task 1."""
    learn(strategy, digits, 0)
    seen: dict[str, object] = {}
    fit = strategy.solver.fit

    def record(data, *args, **kwargs):
        seen.update(solver=data, weights=kwargs["weights"], targets=kwargs["targets"])
        return fit(data, *args, **kwargs)

    train = type(strategy.generator).fit
    monkeypatch.setattr(strategy.solver, "fit", record)
    monkeypatch.setattr(Gaussian, "fit", lambda self, data: (seen.update(generator=data), train(self, data)))
    learn(strategy, digits, 1)
    return seen


@pytest.mark.parametrize(("ratio", "r"), [(None, 1 / 2), (0.2, 0.2), (0.9, 0.9)])
def test_new_data_have_the_importance_r(digits: TaskStream, monkeypatch, ratio, r: float) -> None:
    seen = fitted(make(digits, ratio=ratio, per_class=50), digits, monkeypatch)
    data, weights = seen["solver"], seen["weights"]
    assert isinstance(data, Samples)
    assert isinstance(weights, Tensor)
    with isolated(0):
        drawn = torch.multinomial(weights, 20_000, replacement=True)
    # Of an epoch's draws the share r is real, and within each kind all samples are drawn alike.
    is_new = data.depth == 0
    share = is_new[drawn].float().mean().item()
    assert share == pytest.approx(r, abs=0.02)
    for kind in (is_new, ~is_new):
        times = torch.bincount(drawn, minlength=len(data))[kind].double()
        assert times.var().item() == pytest.approx(times.mean().item(), rel=0.5), "as Poisson counts are"
    generator = seen["generator"]
    assert isinstance(generator, Samples)
    assert (generator.depth == 0).float().mean().item() == pytest.approx(r, abs=0.002)


def test_the_generator_s_share_repeats_replay_evenly_or_leaves_some_out() -> None:
    y = torch.arange(6)
    new = Samples.real(torch.zeros(10, 1), torch.zeros(10, dtype=torch.int64))
    replay = Samples(y.float().unsqueeze(1), y, torch.ones_like(y))
    more = mixed(new, replay, 0.4)
    assert len(more) == 25
    assert sorted(torch.bincount(more.y[10:]).tolist()) == [2, 2, 2, 3, 3, 3]
    less = mixed(new, replay, 0.75)
    assert len(less) == 13
    assert len(less.y[10:].unique()) == 3
    assert len(mixed(new, replay, 0.99)) == 10
    assert mixed(new[:0], replay, 0.5) is replay
    assert importance(0, 6, 0.5) is None
    assert importance(10, 0, 0.5) is None


def test_soft_targets_are_the_old_solver_s_probabilities(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits, labels="soft", classifier_steps=10)
    learn(strategy, digits, 0)
    assert strategy.replay is not None
    replay = strategy.replay
    expected = answers(strategy, replay.x, (0, 1))
    assert ((expected > 0.01) & (expected < 0.99)).any(), "the solver is in doubt about some"
    again = make(digits, labels="soft", classifier_steps=10)
    targets = fitted(again, digits, monkeypatch)["targets"]
    assert isinstance(targets, Tensor)
    new = digits.tasks[1].train
    assert torch.equal(targets[: len(new)], torch.nn.functional.one_hot(new.y, 10).float())
    assert torch.allclose(targets[len(new) :, :2], expected, atol=1e-5)
    assert not targets[len(new) :, 2:].any()
    assert torch.equal(replay.y, expected.argmax(1))


def test_hard_labels_come_without_targets(digits: TaskStream, monkeypatch) -> None:
    assert fitted(make(digits), digits, monkeypatch)["targets"] is None


@pytest.mark.parametrize("options", [{}, {"labels": "soft"}, {"labels": "requested", "start": "fresh"}])
def test_it_goes_on_exactly(digits: TaskStream, tmp_path: Path, options: dict) -> None:
    strategy = make(digits, **options)
    learn(strategy, digits, 0, 1)
    assert strategy.replay is not None
    states.save(tmp_path / "state", strategy.state_dict())
    states.save(tmp_path / "replay", strategy.replay.state_dict())
    copy = make(digits, **options)
    copy.load_state_dict(states.load(tmp_path / "state"))
    copy.replay = Samples.from_state_dict(states.load(tmp_path / "replay"))
    for scholar in (strategy, copy):
        learn(scholar, digits, 2)
    assert states.equal(strategy.state_dict(), copy.state_dict())
    assert copy.replay is not None
    assert states.equal(strategy.replay.state_dict(), copy.replay.state_dict())


@pytest.mark.parametrize("labels", ["solver", "soft"])
def test_it_keeps_what_it_learned(digits: TaskStream, labels: str) -> None:
    strategy = make(digits, labels=labels, classifier_steps=150)
    learn(strategy, digits, 0, 1, 2, 3, 4)
    test = concat(digits.test)
    accuracy = (strategy.predict(test.x).argmax(1) == test.y).float().mean().item()
    assert accuracy > 0.8, "naive training ends at 0.20"
    assert strategy.depth(0) == 5
    assert strategy.depth(9) == 1


def test_a_run_from_end_to_end(fast_run) -> None:
    run = fast_run("dgr", labels="soft", limit=12)
    assert {"accuracy_class_il", "otdd:classifier", "generation_depth"} <= set(run.rows.metric)
    assert set(run.rows.after_task) >= {0, 1, 2, 3, 4}
    assert run.samples(4).depth.min() >= 1


def test_it_needs_a_generator(digits: TaskStream) -> None:
    with pytest.raises(UserError, match="other than none"):
        DGR(Setting(digits.spec, CPU, QUIET, None), DGROptions())
    with pytest.raises(UserError, match="ratio"):
        build(DGROptions, {"ratio": "1.5"}, "strategy dgr")


def test_a_weight_of_new_data_is_refused_where_none_are_new(fast_run) -> None:
    with pytest.raises(UserError, match="ratio has no effect where no task brings new classes"):
        fast_run("dgr", benchmark="digits", options={"ratio": 0.5})
