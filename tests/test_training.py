"""The training loop: schedule, averaging, memory, interruption, each against its definition."""

from __future__ import annotations

import copy
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from cl_bench import checkpoint, training
from cl_bench.augmentation import NO_AUGMENTATION, Augmentation
from cl_bench.checkpoint import Checkpoint, kept_in
from cl_bench.errors import TrainingDiverged
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.training import Batches, Compiled, MicroBatches, TrainingOptions, rate, train
from cl_bench.training_record import TrainingRecord

CPU = torch.device("cpu")


def images(n: int = 40) -> Samples:
    x = torch.randint(0, 256, (n, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Samples.real(x, torch.arange(n) % 2)


class Stopped(Exception):
    """What a kill is in these tests."""


class Fit:
    """A little network trained to predict its input; stops at step `stop`."""

    def __init__(self, stop: int | None = None) -> None:
        with isolated(0):
            self.net = nn.Sequential(
                nn.Flatten(), nn.Linear(16, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 16)
            )
        self.averaged = copy.deepcopy(self.net)
        self.stop, self.calls = stop, 0

    def draw(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.randn_like(x),)

    def loss(self, x: torch.Tensor, y: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        if self.calls == self.stop:
            raise Stopped
        self.calls += 1
        return (self.net(x + 0.1 * noise) - x.flatten(1)).square().mean()

    def sample(self, labels: torch.Tensor) -> torch.Tensor:
        torch.rand(3)
        return torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)

    def run(self, folder: Path | None = None, **options: object) -> list[torch.Tensor]:
        settings = TrainingOptions(**{"steps": 12, "batch": 8} | options)  # type: ignore[arg-type]
        networks, functions = (self.net, self.averaged), (self.draw, self.loss)
        arguments = (*networks, *functions, images(), NO_AUGMENTATION, settings, CPU)
        with isolated(1):
            if folder is None:
                train(*arguments, Progress(quiet=True), "fit", self.sample)
            else:
                with kept_in(folder):
                    train(*arguments, Progress(quiet=True), "fit", self.sample)
        return [*self.net.parameters(), *self.averaged.parameters()]


def test_a_killed_training_goes_on_exactly(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    whole = Fit().run()
    for stop in (1, 5, 11):
        folder = tmp_path / str(stop)
        with pytest.raises(Stopped):
            Fit(stop).run(folder)
        assert len(list(folder.iterdir())) == 1
        resumed = Fit()
        again = resumed.run(folder)
        assert resumed.calls == 12 - stop, "steps done are not done again"
        assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
        assert list(folder.iterdir()) == []


def test_no_checkpoints_outside_a_folder_or_before_their_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Fit().run(tmp_path / "kept")
    assert list(tmp_path.rglob("*")) == []


def test_second_training_of_a_task_has_a_checkpoint_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    with kept_in(tmp_path):
        first, second = (Checkpoint({}, {}, CPU) for _ in range(2))
    assert first.path != second.path


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    assert rate(0, 100) == pytest.approx(1 / 5)
    assert rate(4, 100) == rate(5, 100) == pytest.approx(1)
    assert rate(52, 100) == pytest.approx(0.5, abs=0.01)
    assert rate(99, 100) < 0.001
    assert rate(0, 1) == 1


def test_the_average_is_exponential_with_a_short_memory_at_first() -> None:
    net, averaged = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.zeros_(averaged.weight)
    nn.init.ones_(net.weight)
    average, expected = training.Average(net, averaged, 0.6), 0.0
    for step in range(20):
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay)
    assert averaged.weight.item() == pytest.approx(expected)


class Crowded:
    """A loss that fits into memory up to `limit` images."""

    def __init__(self, net: nn.Module, limit: int) -> None:
        self.net, self.limit = net, limit

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if len(y) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (self.net(x).squeeze(1) - y).square().mean()


@pytest.mark.parametrize("limit", [10, 4, 1])
def test_out_of_memory_splits_the_batch_and_keeps_its_gradient(limit: int, capsys) -> None:
    net = nn.Linear(3, 1)
    x, y = torch.randn(10, 3), torch.randn(10)
    (net(x).squeeze(1) - y).square().mean().backward()
    expected = net.weight.grad.clone()
    parts = MicroBatches(torch.optim.SGD(net.parameters(), 0.1), Progress())
    for _ in range(2):
        loss = parts.backward(Crowded(net, limit), (x, y))
        assert torch.allclose(net.weight.grad, expected, atol=1e-6)
        assert loss.item() == pytest.approx((net(x).squeeze(1) - y).square().mean().item(), rel=1e-5)
    said = capsys.readouterr().err.count("out of memory: batches of 10 in")
    assert said == {10: 0, 4: 2, 1: 4}[limit], "told when it happens, not at every step"


def test_one_image_too_many_is_an_error() -> None:
    net = nn.Linear(3, 1)
    parts = MicroBatches(torch.optim.SGD(net.parameters(), 0.1), Progress(quiet=True))
    with pytest.raises(torch.OutOfMemoryError):
        parts.backward(Crowded(net, 0), (torch.randn(4, 3), torch.randn(4)))


def test_a_loss_gone_bad_stops(monkeypatch) -> None:
    fit = Fit()
    monkeypatch.setattr(fit, "loss", lambda x, y, noise: fit.net(x).sum() * float("nan"))
    with pytest.raises(TrainingDiverged, match="fit: the loss is nan at step 1"):
        fit.run()


def test_a_compiler_that_fails_is_done_without(capsys) -> None:
    def broken(*_: torch.Tensor) -> None:
        raise RuntimeError("no compiler here")

    compiled = Compiled(nn.Linear(2, 2), TrainingOptions(compile="off"), CPU, Progress())
    compiled.call = broken
    x = torch.randn(1, 2)
    assert torch.equal(compiled(x), compiled.net(x))
    assert torch.equal(compiled(x), compiled.net(x))
    assert capsys.readouterr().err.count("torch.compile failed (RuntimeError); going on without it") == 1


def test_an_error_of_the_network_is_not_the_compilers() -> None:
    compiled = Compiled(nn.Linear(2, 2), TrainingOptions(compile="off"), CPU, Progress(quiet=True))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        compiled(torch.randn(1, 3))


def test_bf16_and_channels_last_train_too() -> None:
    plain, fast = Fit().run(), Fit().run(bf16="on", channels_last="on")
    assert not all(torch.equal(a, b) for a, b in zip(plain, fast, strict=True))
    assert all(torch.allclose(a, b, atol=0.02) for a, b in zip(plain, fast, strict=True))


def test_batches_are_mirrored_never_cropped() -> None:
    data = Samples.real(torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4), torch.zeros(1).long())
    with isolated(0):
        x, y = Batches(data, Augmentation(crop=2, flip=True), CPU).draw(64)
    assert x.min() > -1, "no black border"
    assert len(x.unique(dim=0)) == 2
    assert y.shape == (64,)


def test_a_length_is_steps_or_epochs() -> None:
    assert TrainingOptions().steps_for(10) == 2000
    assert TrainingOptions(steps=7).steps_for(10) == 7
    assert TrainingOptions(epochs=1.5, batch=4).steps_for(10) == 4
    assert TrainingOptions(epochs=0.001).steps_for(10) == 1
    with pytest.raises(ValueError, match="two lengths; give one"):
        TrainingOptions(steps=7, epochs=1)


def test_the_record_holds_the_whole_curve_of_a_stopped_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    with kept_in(tmp_path / "a", tmp_path / "whole"):
        Fit().run()
    for stop in (5, None):
        with pytest.raises(Stopped) if stop else nullcontext(), kept_in(tmp_path / "b", tmp_path / "stopped"):
            Fit(stop).run()
    paths = [tmp_path / name / "training_00.json" for name in ("whole", "stopped")]
    records = [json.loads(path.read_text()) for path in paths]
    assert records[0]["loss"] == records[1]["loss"]
    assert [step for step, _ in records[0]["loss"]] == list(range(1, 13))
    assert all(0 < loss < 10 for _, loss in records[0]["loss"])
    assert (records[0]["steps"], records[0]["batch"]) == (12, 8)
    assert records[0]["images_per_second"] > 0


def test_a_long_curve_is_a_mean_over_equal_stretches() -> None:
    record = TrainingRecord("fit", 401, 8)
    for step in range(401):
        record.add(step, float(step))
    curve = record.curve()
    assert curve[0] == (3, 1.0)
    assert curve[-1] == (401, pytest.approx((399 + 400) / 2))
    assert len(curve) == 134


def test_grids_of_samples_on_the_way_change_nothing(tmp_path: Path) -> None:
    plain = Fit().run()
    with kept_in(tmp_path / "checkpoints", tmp_path):
        watched = Fit().run(grid_every=5)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == ["training_00_step_000005.png", "training_00_step_000010.png"]
    assert Image.open(tmp_path / names[0]).size == (8 * 5, 2 * 5)
    Fit().run(grid_every=5)
    assert len(list(tmp_path.glob("*.png"))) == 2, "nowhere without a folder"
