"""`check` passes what we ship and catches what cheats."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch

from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.checks.benchmark import check_benchmark
from cl_bench.checks.findings import Finding
from cl_bench.checks.generator import check_generator
from cl_bench.checks.strategy import check_strategy
from cl_bench.cli.data import data_sets
from cl_bench.config import Request
from cl_bench.registry import benchmarks, generators, strategies
from cl_bench.strategies.bootstrap import Bootstrap
from cl_bench.strategies.naive import Naive

QUICK = {"classifier_steps": 20}


def problems(findings: Iterator[Finding]) -> list[str]:
    return [f"{what}: {problem}" for what, problem in findings if problem is not None]


# A name that takes an argument is checked with some.
NAMES = [name for name in strategies.names() if name != "avalanche"] + ["avalanche:EWC", "avalanche:iCaRL"]


# Large networks, batches and many steps take a minute and say nothing more about the contract.
FEW = {"generator.batch": 8, "generator.sampling_steps": 4}
SMALLER = {
    "ddgr-reference": {"classifier": "mlp"} | FEW,
    "generative-distillation": FEW,
    "guide": FEW,
}


@pytest.mark.parametrize("name", NAMES)
def test_shipped_strategies_pass(name: str) -> None:
    findings = list(check_strategy(Request(name, device="cpu", options=SMALLER.get(name, {}))))
    assert [problem for _, problem in findings] == [None] * 9


# What fits no images is checked on data that it is made for.
DATA = {
    "categorical": "zipf:20",
    "causal-lm": "zipf:20",
    "gmm": "gmm5",
    "kde": "gmm5",
    "logistic": "centred-gamma:2",
    "ols": "linear:3",
    "wgan": "gmm5",
}


@pytest.mark.parametrize("name", generators.names())
def test_shipped_generators_pass(name: str) -> None:
    benchmark = DATA.get(name, "splitdigits")
    assert problems(check_generator(Request(generator=name, benchmark=benchmark, device="cpu"))) == []


@pytest.mark.parametrize("name", ["ddpm", "edm", "flow", "gaussian", "mlp-diffusion", "vae"])
def test_generators_of_images_take_vectors_of_one_class(name: str) -> None:
    assert problems(check_generator(Request(generator=name, benchmark="two-moons", device="cpu"))) == []


SMALL = ["digits", "splitdigits", "gmm2", "gmm5", "eight-gaussians", "two-moons", "linear:3", "zipf:20"]


@pytest.mark.parametrize("name", SMALL)
def test_shipped_benchmarks_pass(name: str) -> None:
    assert problems(check_benchmark(Request(benchmark=name, device="cpu"))) == []


BY_DATA_SET = {
    name: data_set.name for name, data_set in data_sets().items() if name in benchmarks and name != "ffhq64"
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BY_DATA_SET))
def test_benchmarks_on_real_data_pass(name: str, real_data) -> None:
    root = str(real_data(BY_DATA_SET[name]))
    assert problems(check_benchmark(Request(benchmark=name, device="cpu", data_root=root))) == []


class ReadsTests(Naive):
    """Builds the benchmark again to get at its tests."""

    def observe(self, task):
        stream = SplitDigits(SplitDigits.Options()).build()
        super().observe(task)
        self.cheat = stream.test


class WantsTaskId(Naive):
    """Asks for the task at test time."""

    def predict(self, x, task_id):
        return super().predict(x)


class UsesBatch(Naive):
    """Guesses the task from its company."""

    def predict(self, x):
        logits = super().predict(x)
        return logits + 10 * logits.mean(0)


class ForgetsState(Naive):
    """Leaves its classifier out of the checkpoint."""

    def state_dict(self):
        return {k: v for k, v in super().state_dict().items() if not k.startswith("classifier")}

    def load_state_dict(self, state):
        super().load_state_dict(super().state_dict() | state)


class ForgetsGenerator(Bootstrap):
    """Leaves the weights that its generator trains on out of the checkpoint."""

    def state_dict(self):
        return {k: v for k, v in super().state_dict().items() if not k.startswith("generator.net")}

    def load_state_dict(self, state):
        super().load_state_dict(super().state_dict() | state)


class Unrepeatable(Naive):
    """Goes on by repeating, but learns otherwise the second time."""

    resumes_by_repeating = True

    def observe(self, task):
        torch.manual_seed(int(torch.randint(1000, (), generator=_OWN)))
        super().observe(task)


class ForgetsOnRepeat(Naive):
    """Goes on by repeating, but keeps what it needs outside of itself."""

    resumes_by_repeating = True
    seen = 0

    def observe(self, task):
        ForgetsOnRepeat.seen += 1
        if task.index == 1:
            torch.manual_seed(ForgetsOnRepeat.seen)
        super().observe(task)


class ChangesTask(Naive):
    """Writes into the stream's data."""

    def observe(self, task):
        super().observe(task)
        task.train.x.zero_()


class Unseeded(Naive):
    """Draws from its own generator."""

    def sample(self, labels):
        return torch.randint(0, 256, (len(labels), 1, 8, 8), generator=_OWN).to(torch.uint8)


class Crashes(Naive):
    """Fails in its own way."""

    def observe(self, task):
        raise KeyError("gone")


_OWN = torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (ReadsTests, "read the test sets"),
        (WantsTaskId, "no task id at test time"),
        (UsesBatch, "must not use the batch"),
        (ForgetsState, "same state dict predicts otherwise"),
        (ForgetsGenerator, "resumed after task 1 it samples otherwise"),
        (Unrepeatable, "repeated with the same seed gives another state dict"),
        (ForgetsOnRepeat, "resumed after task 1 it predicts otherwise"),
        (ChangesTask, "changed the task's own tensors"),
        (Unseeded, "not seeded"),
        (Crashes, r"KeyError: 'gone' \(test_checks.py"),
    ],
)
def test_cheats_are_caught(cls: type, expected: str, monkeypatch) -> None:
    monkeypatch.setitem(strategies._targets, "cheat", cls)
    found = problems(check_strategy(Request("cheat", device="cpu", options=QUICK)))
    assert len(found) == 1
    assert re.search(expected, found[0])


class TouchesGlobals(SplitDigits):
    """Reseeds the global generator."""

    def build(self, order_seed=None, limit=None):
        torch.manual_seed(0)
        return super().build(order_seed, limit)


class IgnoresOrder(SplitDigits):
    """Has one order only."""

    def build(self, order_seed=None, limit=None):
        return super().build(None, limit)


@pytest.mark.parametrize(
    ("cls", "expected"), [(TouchesGlobals, "changed torch's"), (IgnoresOrder, "no effect on the class order")]
)
def test_dishonest_benchmarks_are_caught(cls: type, expected: str, monkeypatch) -> None:
    monkeypatch.setitem(benchmarks._targets, "cheat", cls)
    found = problems(check_benchmark(Request(benchmark="cheat", device="cpu")))
    assert len(found) == 1
    assert expected in found[0]
