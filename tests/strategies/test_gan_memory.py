"""GAN Memory: a frozen base, styles that never change, replay of depth 1, bases from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from cl_bench import checkpoint
from cl_bench import state as states
from cl_bench.checkpoint import kept_in
from cl_bench.config import Request, resolve
from cl_bench.costs import counted
from cl_bench.errors import UserError
from cl_bench.generators.resnet_gan import ResNetGAN, ResNetGANOptions
from cl_bench.progress import Progress
from cl_bench.run_directory import REPLAY_MANIFEST
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.state import under
from cl_bench.strategies.gan_memory import GANMemory, GANMemoryOptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
FEW = {"steps": 4, "latent": 8, "batch": 8, "classifier_steps": 20, "ema": 0.5, "per_class": 10}


def make(spec: StreamSpec, progress: Progress = QUIET, **options: object) -> GANMemory:
    with isolated(0, "init"):
        given = GANMemoryOptions(**(FEW | options))  # type: ignore[arg-type]
        return GANMemory(Setting(spec, CPU, progress, None), given)


def observe(strategy: GANMemory, stream: TaskStream, *tasks: int) -> None:
    for task in tasks:
        with isolated(0, "observe", task):
            strategy.observe(stream.tasks[task])


def sampled(strategy: GANMemory, labels: Tensor) -> Tensor:
    with isolated(0, "sample"):
        return strategy.sample(labels)


@pytest.mark.parametrize("compress", [False, True])
def test_an_earlier_task_is_replayed_bit_for_bit_the_same(digits: TaskStream, compress: bool) -> None:
    strategy = make(digits.spec, compress=compress, kept_mass=0.5 if compress else None, learning_rate=1e-2)
    observe(strategy, digits, 0)
    y = torch.tensor([0, 1]).repeat(5)
    before = sampled(strategy, y)
    assert strategy.net is not None
    frozen = {name: value.clone() for name, value in strategy.net.state_dict().items()}
    observe(strategy, digits, 1, 2)
    assert torch.equal(sampled(strategy, y), before)
    # What newer classes are asked for beside it changes nothing either.
    assert torch.equal(sampled(strategy, torch.cat([y, torch.tensor([2, 5])]))[:10], before)
    assert states.equal(strategy.net.state_dict(), frozen)
    assert not torch.equal(sampled(strategy, y + 2), before)


def test_replay_is_of_all_classes_at_depth_one(digits: TaskStream) -> None:
    strategy = make(digits.spec, per_class=None)
    observe(strategy, digits, 0)
    with counted() as costs:
        observe(strategy, digits, 1)
    assert strategy.replay is not None
    # One evaluation an image, and at most one more a batch, to have batches of one size.
    assert costs.samples == len(strategy.replay)
    assert costs.samples <= costs.network_evaluations <= costs.samples + 4
    real = digits.tasks[0].train.counts() | digits.tasks[1].train.counts()
    assert strategy.replay.counts() == real
    assert strategy.replay.depth.unique().tolist() == [1]
    assert strategy.replay.x.dtype == torch.uint8
    assert all(strategy.depth(c) == 1 for c in real)


def test_each_style_learns_its_own_real_data_and_the_classifier_the_rest(
    digits: TaskStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cl_bench.strategies import gan_memory

    fitted: list[Samples] = []
    real = gan_memory.Batches

    def watched(data: Samples, *rest: object) -> object:
        fitted.append(data)
        return real(data, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(gan_memory, "Batches", watched)
    strategy = make(digits.spec)
    seen: list[tuple[Samples, Tensor | None]] = []
    monkeypatch.setattr(
        strategy.classifier, "fit", lambda data, *rest, weights=None, **k: seen.append((data, weights))
    )
    observe(strategy, digits, 0, 1)
    first, second = (digits.tasks[t].train for t in (0, 1))
    assert [torch.equal(data.x, x) for data, x in zip(fitted, (first.x, first.x, second.x), strict=True)]
    assert [data.classes for data in fitted] == [(0,), (0, 1), (0, 1)]
    data, weights = seen[1]
    assert torch.equal(data[: len(second)].x, second.x)
    assert data[len(second) :].classes == (0, 1)
    assert data[len(second) :].depth.unique().tolist() == [1]
    # Both tasks are drawn alike, and so are the classes of the old one.
    assert weights is not None
    shares = {c: weights[data.y == c].sum().item() for c in (0, 1, 2, 3)}
    assert shares[0] == pytest.approx(0.5)
    assert shares[1] == pytest.approx(0.5)
    assert shares[2] + shares[3] == pytest.approx(1)
    assert make(digits.spec, balance="union")._weights(3, data.y) is None


def test_the_stored_style_is_the_moving_average(digits: TaskStream) -> None:
    """With a slow average a style stays near the base; the weights that were trained do not."""
    parts = {}
    for ema in (0.0, 0.99):
        strategy = make(digits.spec, ema=ema, learning_rate=1e-2, steps=6)
        observe(strategy, digits, 0)
        assert strategy.bank is not None
        base, stored = strategy.bank.base.layers["fc"], strategy.bank.stored[0]
        parts[ema] = (stored["fc.scale"] - base.scale).abs().mean().item()
    assert 0 < parts[0.99] < parts[0.0]


def test_a_checkpoint_holds_the_base_once_and_a_style_per_task(digits: TaskStream) -> None:
    strategy = make(digits.spec)
    sizes = []
    for task in (0, 1, 2):
        observe(strategy, digits, task)
        sizes.append(sum(value.numel() for value in strategy.state_dict().values()))
    assert strategy.bank is not None
    # Besides the style: task and number of samples of two new classes, two tables of keys and values.
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == strategy.bank.size(1) + 8


def test_goes_on_exactly_after_a_stop_in_the_base_or_in_a_style(
    digits: TaskStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stops(Progress):
        training = 0
        stop: int

        def steps(self, total: int, what: str, done: int = 0, batch: int = 0) -> Iterator[int]:
            self.training += 1
            for step in range(done, total):
                if (self.training, step) == (self.stop, 2):
                    raise KeyboardInterrupt
                yield step

    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    whole = make(digits.spec)
    observe(whole, digits, 0)
    for stop in (1, 2):
        folder = tmp_path / str(stop)
        progress = Stops(quiet=True)
        progress.stop = stop
        with pytest.raises(KeyboardInterrupt), kept_in(folder):
            observe(make(digits.spec, progress), digits, 0)
        assert len(list(folder.iterdir())) == stop
        resumed = make(digits.spec)
        again = Stops(quiet=True)
        again.stop = 0
        with kept_in(folder):
            observe(resumed, digits, 0)
        assert states.equal(resumed.state_dict(), whole.state_dict())


def test_a_base_of_less_than_a_minute_is_on_disk_before_its_first_style(
    digits: TaskStream, tmp_path: Path
) -> None:
    """Or a killed task would train a style of one base further on another: on a GPU no two are the same."""

    class Stops(Progress):
        def steps(self, total: int, what: str, done: int = 0, batch: int = 0) -> Iterator[int]:
            if what != "gan-memory, base":
                raise KeyboardInterrupt
            began.append((done, total))
            return super().steps(total, what, done, batch)

    began: list[tuple[int, int]] = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), kept_in(tmp_path):
            observe(make(digits.spec, Stops(quiet=True)), digits, 0)
    assert began == [(0, 4), (4, 4)]


# Bases from elsewhere


def gan(digits: TaskStream) -> ResNetGAN:
    with isolated(0, "gan"):
        return ResNetGAN(digits.spec, ResNetGANOptions(latent=8, embedding=3), CPU, QUIET)


def test_a_resnet_gan_on_disk_is_the_base(digits: TaskStream, tmp_path: Path) -> None:
    path = tmp_path / "gan.safetensors"
    generator = gan(digits)
    states.save(path, generator.state_dict())
    strategy = make(digits.spec, base=str(path))
    observe(strategy, digits, 0)
    assert strategy.net is not None
    assert strategy.critic is not None
    assert states.equal(strategy.net.state_dict(), generator.averaged.state_dict())
    assert states.equal(strategy.critic.state_dict(), generator.critic.state_dict())
    # The labels' place is taken by their mean.
    assert strategy.bank is not None
    assert torch.allclose(strategy.bank.base.label, generator.averaged.label.weight.mean(0))
    copy = make(digits.spec, base=str(path))
    copy.load_state_dict(strategy.state_dict())
    y = torch.tensor([0, 1])
    assert torch.equal(sampled(copy, y), sampled(strategy, y))


def test_the_base_of_another_run_can_be_taken(digits: TaskStream, tmp_path: Path) -> None:
    first = make(digits.spec)
    observe(first, digits, 0)
    path = tmp_path / "checkpoint.safetensors"
    states.save(path, first.state_dict())
    second = make(digits.spec, base=str(path))
    observe(second, digits, 1)
    assert sampled(second, torch.tensor([3, 2])).float().std() > 0
    for part in ("generator.averaged", "generator.critic"):
        assert states.equal(under(part, second.state_dict()), under(part, first.state_dict()))


def test_a_base_that_does_not_fit_is_refused(digits: TaskStream, tmp_path: Path) -> None:
    path = tmp_path / "gan.safetensors"
    states.save(path, gan(digits).state_dict())
    with pytest.raises(UserError, match="does not fit size=px32 and latent=8"):
        observe(make(digits.spec, base=str(path), size="px32"), digits, 0)
    states.save(path, {"mean": torch.zeros(3)})
    with pytest.raises(UserError, match="holds no resnet-gan"):
        observe(make(digits.spec, base=str(path)), digits, 0)
    with pytest.raises(UserError, match="is missing"):
        observe(make(digits.spec, base=str(tmp_path / "nothing")), digits, 0)


def test_a_folder_of_images_is_the_base(digits: TaskStream, tmp_path: Path) -> None:
    for i, colour in enumerate([(255, 0, 0), (0, 255, 0), (255, 255, 255)]):
        Image.new("RGB", (20, 12), colour).save(tmp_path / f"{i}.png")
    strategy = make(digits.spec, base=f"folder:{tmp_path}")
    x = strategy._images(tmp_path)
    assert x.shape == (3, 1, 8, 8)
    # The stream is grey: each colour at its luma.
    assert x.flatten(1).unique(dim=1).flatten().tolist() == [76, 150, 255]
    observe(strategy, digits, 0)
    assert sampled(strategy, torch.tensor([0, 1])).shape == (2, 1, 8, 8)
    rgb = make(StreamSpec("image", (3, 8, 6), digits.spec.class_names, 1))
    assert rgb._images(tmp_path)[0, :, 0, 0].tolist() == [255, 0, 0]
    assert rgb._images(tmp_path).shape == (3, 3, 8, 6)
    with pytest.raises(UserError, match="no images below"):
        observe(make(digits.spec, base=f"folder:{tmp_path / 'none'}"), digits, 0)


# What is refused


def test_a_stream_that_repeats_its_classes_is_refused(fast_run) -> None:
    with pytest.raises(UserError, match="learns each class once, from real data"):
        fast_run("gan-memory", benchmark="digits", generator=None)


def test_a_generator_is_refused_for_it_has_its_own() -> None:
    with pytest.raises(UserError, match="'gan-memory' has a generator of its own; --generator gaussian"):
        resolve(Request("gan-memory", generator="gaussian"))


def test_options_without_effect_are_refused() -> None:
    for options, problem in (
        ({"kept_mass": 0.5}, r"kept_mass=0\.5 has no effect without compress=true"),
        ({"rank_penalty": 0.1}, r"rank_penalty=0\.1 has no effect without compress=true"),
        ({"base": "gan.safetensors", "base_steps": 3}, "base_steps=3 has no effect on base=gan.safetensors"),
    ):
        with pytest.raises(UserError, match=problem):
            resolve(Request("gan-memory", options=options))


def test_compression_without_anything_to_compress_is_refused(digits: TaskStream) -> None:
    with pytest.raises(UserError, match=r"nothing to compress at size=tiny, .* 32 output channels of 256"):
        make(digits.spec, compress=True)
    make(digits.spec, compress=True, size="px32")


def test_the_rank_penalty_reaches_training(digits: TaskStream) -> None:
    found = []
    for penalty in (0.0, 10.0):
        strategy = make(
            digits.spec, compress=True, kept_mass=1.0, rank_penalty=penalty, steps=12, learning_rate=1e-2
        )
        observe(strategy, digits, 0)
        assert strategy.bank is not None
        found.append(strategy.bank.stored[0]["blocks.0.first.scale.coefficients"].sum().item())
    assert found[1] < found[0]


# End to end


def test_runs_on_digits(fast_run) -> None:
    run = fast_run(
        "gan-memory",
        generator=None,
        evaluators=("accuracy", "depth"),
        tasks=[2, 8],
        steps=40,
        latent=16,
        batch=16,
        learning_rate=3e-3,
        r1=1.0,
        ema=0.9,
    )
    rows = run.rows
    depth = rows[(rows["metric"] == "generation_depth") & rows["class"].isna() & rows["on_task"].isna()]
    assert depth["value"].tolist() == [1.0, 1.0]
    # What drew the second replay has another style than what drew the first.
    replays = [json.loads((run.directory.task(t) / REPLAY_MANIFEST).read_text()) for t in (0, 1)]
    assert replays[0]["generator_sha256"] != replays[1]["generator_sha256"]
    accuracy = rows[(rows["metric"] == "average_accuracy_class_il")].sort_values("after_task")["value"]
    assert accuracy.tolist()[-1] > 0.2
    manifest = run.manifest["config"]
    assert manifest["strategy_options"]["base"] == "task0"
    assert manifest["generator"] == "none"
