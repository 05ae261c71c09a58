"""ddgr-reference: batches, selection and options as the release has them, without its faults."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl_bench import state as states
from cl_bench.config import Config, Request, resolve
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.seeds import isolated
from cl_bench.strategies.ddgr_reference import DDGRReference, DDGRReferenceOptions, split
from cl_bench.strategy import Setting
from cl_bench.stream import TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def make(digits: TaskStream, **options: object) -> DDGRReference:
    def generator() -> DDPM:
        return DDPM(
            digits.spec,
            DDPMOptions(steps=3, batch=8, ema=0.0, dropout=0.3, sampler="ancestral", sampling_steps=2),
            CPU,
            QUIET,
        )

    with isolated(0, "init"):
        settings: Any = {"classifier": "auto", "classifier_epochs": 2, "per_class": 10} | options
        return DDGRReference(Setting(digits.spec, CPU, QUIET, generator), DDGRReferenceOptions(**settings))


def observe(strategy: DDGRReference, digits: TaskStream, tasks: int) -> None:
    for task in digits.tasks[:tasks]:
        with isolated(0, "observe", task.index):
            strategy.observe(task)


def test_four_fifths_of_each_class_are_for_training() -> None:
    y = torch.arange(60) % 3
    train, valid = split(Samples(torch.arange(60), y, torch.ones_like(y)))
    assert train.counts() == dict.fromkeys(range(3), 16)
    assert valid.counts() == dict.fromkeys(range(3), 4)
    assert sorted([*train.x.tolist(), *valid.x.tolist()]) == list(range(60))


def test_real_and_replayed_batches_are_zipped(digits: TaskStream) -> None:
    strategy = make(digits, classifier_batch=50)
    new, old = digits.tasks[1].train, digits.tasks[0].train[:120]
    batches = list(strategy._batches(new, old))
    assert len(batches) == 3, "the shorter side ends the epoch"
    assert [len(y) for _, y in batches] == [100, 100, 70]
    for x, y in batches:
        assert set(y[:50].tolist()) <= {2, 3}
        assert set(y[50:].tolist()) <= {0, 1}
        assert x.min() >= -1
    replayed = torch.cat([x[50:] for x, _ in batches])
    assert torch.equal(
        replayed.flatten(1).sum(1).sort().values, scaled(old.x).flatten(1).sum(1).sort().values
    )
    alone = list(strategy._batches(new, old[:0]))
    assert sum(len(y) for _, y in alone) == len(new)


def test_classes_not_seen_yet_take_no_part(digits: TaskStream) -> None:
    """The loss leaves their logits out: their weights only decay."""
    strategy = make(digits)
    before = strategy.classifier.head.weight.detach().clone()
    observe(strategy, digits, 1)
    after = strategy.classifier.head.weight.detach()
    cosine = torch.nn.functional.cosine_similarity(before, after)
    assert torch.allclose(cosine[2:], torch.ones(8), atol=1e-6)
    assert (cosine[:2] < 1 - 1e-7).all()


def test_one_step_is_sgd_on_the_cross_entropy_of_seen_classes(digits: TaskStream) -> None:
    strategy = make(digits, classifier_epochs=1, classifier_rate=0.1)
    new, valid = digits.tasks[0].train[::8], digits.tasks[0].train[:0]
    net = strategy.classifier.net
    logits = net(scaled(new.x))[:, :2]
    loss = -(logits.log_softmax(1).gather(1, new.y[:, None])).mean()
    weight = strategy.classifier.head.weight
    (gradient,) = torch.autograd.grad(loss, weight)
    expected = weight.detach() - 0.1 * (gradient + 5e-4 * weight.detach())
    strategy._fit_classifier(new, new[:0], valid)
    assert torch.allclose(weight.detach(), expected, atol=1e-6)


def test_the_best_epoch_on_held_out_data_is_kept(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits, classifier_epochs=100)
    task = digits.tasks[0]
    scores = iter([0.2, 0.7, *[0.5] * 98])
    weights: list[Tensor] = []
    judged: list[Samples] = []
    rates: list[float] = []
    step = torch.optim.SGD.step

    def score(data: Samples, classes: Tensor) -> float:
        judged.append(data)
        weights.append(strategy.classifier.head.weight.detach().clone())
        return next(scores)

    def stepped(optimiser: torch.optim.SGD) -> None:
        rates.append(optimiser.param_groups[0]["lr"])
        step(optimiser)

    monkeypatch.setattr(strategy, "_accuracy", score)
    monkeypatch.setattr(torch.optim.SGD, "step", stepped)
    with isolated(0):
        strategy._fit_classifier(task.train, task.train[:0], task.valid)
    assert torch.equal(strategy.classifier.head.weight.detach(), weights[1])
    assert len(weights) == 2 + 11, "the end comes after more than ten epochs without improvement"
    assert judged[0] is task.valid
    a_task = rates[:: len(rates) // 13]
    assert a_task[:13] == pytest.approx([1e-3] * 7 + [1e-4] * 5 + [1e-5])


def test_replay_is_small_unbalanced_guided_on_noise_by_raw_weights(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits)
    generator: Any = strategy.generator
    fitted: list[Samples] = []
    guides: list[Guide] = []
    modes: list[bool] = []
    fit, sample, loss = generator.fit, generator.sample, generator.loss
    monkeypatch.setattr(generator, "fit", lambda data: (fitted.append(data), fit(data)))
    monkeypatch.setattr(generator, "sample", lambda y, guide: (guides.append(guide), sample(y, guide))[1])
    monkeypatch.setattr(generator, "loss", lambda *a: (modes.append(generator.net.training), loss(*a))[1])
    observe(strategy, digits, 2)
    assert strategy.replay is not None
    assert strategy.replay.counts() == dict.fromkeys(range(4), 10)
    assert fitted[1].counts() == {0: 8, 1: 8} | digits.tasks[1].train.counts()
    assert [(guide.target, guide.scale) for guide in guides] == [("xt", 1.0)] * 2
    pairs = zip(generator.net.parameters(), generator.averaged.parameters(), strict=True)
    assert all(torch.equal(raw, averaged) for raw, averaged in pairs)
    assert modes == [True] * 6, "dropout is active in the training that follows sampling"


def test_a_channel_stays_where_it_is(digits: TaskStream) -> None:
    """What is learned and what is judged are the very tensors that were drawn."""
    strategy = make(digits)
    drawn: list[Tensor] = []
    sample = strategy.generator.sample
    strategy.generator.sample = lambda y, guide=None: drawn.append(sample(y, guide)) or drawn[-1]  # type: ignore
    observe(strategy, digits, 1)
    assert strategy.replay is not None
    assert strategy.replay.x.dtype == torch.uint8
    assert strategy.replay.x is drawn[0]


def test_it_goes_on_exactly(digits: TaskStream) -> None:
    whole, copy = make(digits), make(digits)
    observe(whole, digits, 1)
    copy.load_state_dict(whole.state_dict())
    copy.replay = whole.replay
    for strategy in (whole, copy):
        with isolated(0, "observe", 1):
            strategy.observe(digits.tasks[1])
    assert states.equal(whole.state_dict(), copy.state_dict())


def test_the_generators_options_are_the_releases_unless_said_otherwise() -> None:
    config = resolve(Request("ddgr-reference")).config
    assert config.generator == "ddpm"
    published = {"steps": 15000, "batch": 64, "ema": 0.0, "sampler": "ancestral", "sampling_steps": 250}
    assert published.items() <= config.generator_options.items()
    said = resolve(Request("ddgr-reference", options={"generator.steps": 7, "sampling_steps": 9})).config
    assert said.generator_options == config.generator_options | {"steps": 7, "sampling_steps": 9}
    # The configuration is whole: it resolves to itself, without knowing where a value came from.
    assert resolve(Config.from_dict(said.as_dict()).request()).config == said
    other = resolve(Request("ddgr-reference", generator="mlp-diffusion")).config.generator_options
    assert (other["steps"], other["ema"], other["sampling_steps"]) == (15000, 0.0, 250)
    assert "sampler" not in other
    assert resolve(Request("ddgr", generator="ddpm")).config.generator_options["ema"] == 0.999
    with pytest.raises(UserError, match="two lengths"):
        resolve(Request("ddgr-reference", options={"epochs": 3}))
