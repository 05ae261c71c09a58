"""Memory replay GANs: the alignment term by hand, what each variant trains on, and going on exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl_bench import checkpoint
from cl_bench import state as states
from cl_bench.checkpoint import kept_in
from cl_bench.config import Request, resolve
from cl_bench.errors import UserError
from cl_bench.generators.gaussian import Gaussian, GaussianOptions
from cl_bench.generators.stylegan2 import Alignment, StyleGAN2, StyleGAN2Options
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategies.merge_gan import WEIGHT, MergeGAN, MergeGANOptions
from cl_bench.strategy import Setting
from cl_bench.stream import StreamSpec, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
SMALL = {"width": 8, "latent": 16, "batch": 16, "steps": 3}
SPEC = StreamSpec("image", (1, 8, 8), ("a", "b", "c"), 3)


def gan(spec: StreamSpec = SPEC, **options: object) -> StyleGAN2:
    with isolated(0, "init"):
        return StyleGAN2(spec, StyleGAN2Options(**(SMALL | options)), CPU, QUIET)  # type: ignore[arg-type]


def noisy(c: int, n: int = 24) -> Samples:
    with isolated(c, "data"):
        return Samples.real(torch.randint(0, 256, (n, 1, 8, 8)).to(torch.uint8), torch.full((n,), c))


def make(digits: TaskStream, **options: object) -> MergeGAN:
    with isolated(0, "init"):
        settings: Any = {"classifier_steps": 5} | options
        return MergeGAN(
            Setting(digits.spec, CPU, QUIET, lambda: gan(digits.spec)), MergeGANOptions(**settings)
        )


def test_the_alignment_term_is_the_papers() -> None:
    generator = gan()
    with torch.no_grad():
        for weight in generator.averaged.parameters():
            weight.mul_(0.9)
    term = Alignment(generator.averaged, (0, 2), 0.5, CPU)
    with isolated(1):
        drawn = term.draw(generator.net, 5)
    value = term(generator.net, *drawn)
    with isolated(1):
        y = torch.tensor([0, 2])[torch.randint(2, (5,))]
        inputs = y, *generator.net.draw(5, CPU)
    apart = generator.net(*inputs) - generator.averaged(*inputs)
    expected = 0.5 * sum(image.square().sum() for image in apart) / 5
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    value.backward()
    assert generator.net.synthesis.constant.grad is not None
    assert term.previous.synthesis.constant.grad is None
    # The previous generator is a copy: it does not move with the average.
    with torch.no_grad():
        generator.averaged.synthesis.constant.add_(1)
    assert term(generator.net, *drawn).item() == value.item()


def test_nothing_is_apart_before_training() -> None:
    generator = gan()
    term = Alignment(generator.averaged, (0,), 1.0, CPU)
    assert term(generator.net, *term.draw(generator.net, 4)).item() == 0


def test_alignment_keeps_a_latents_image() -> None:
    """After training on another class, an old latent's image has moved less the more weight it had."""

    def old_images(generator: StyleGAN2) -> Tensor:
        with isolated(2), torch.no_grad():
            return generator.net(torch.zeros(16).long(), *generator.net.draw(16, CPU))

    moved = []
    for weight in (1e-6, 10.0):
        generator = gan(steps=30)
        before = old_images(generator)
        with isolated(3):
            generator.fit_aligned(noisy(1), (0,), weight)
        moved.append((old_images(generator) - before).square().mean().item())
    assert moved[1] < moved[0] / 2


@pytest.mark.parametrize("method", ["joint", "alignment"])
def test_what_each_network_learns(digits: TaskStream, method: str, monkeypatch) -> None:
    strategy = make(digits, method=method)
    fitted: dict[str, list[Any]] = {"classifier": [], "generator": [], "aligned": []}
    monkeypatch.setattr(strategy.classifier, "fit", lambda data, *_, **__: fitted["classifier"].append(data))
    monkeypatch.setattr(strategy.generator, "fit", lambda data: fitted["generator"].append(data))
    monkeypatch.setattr(
        strategy.generator,
        "fit_aligned",
        lambda data, classes, weight: fitted["aligned"].append((data, classes, weight)),
    )
    for task in digits.tasks[:3]:
        strategy.observe(task)
    union = {c: n for task in digits.tasks[:3] for c, n in task.train.counts().items()}
    assert fitted["classifier"][2].counts() == union
    if method == "joint":
        assert fitted["generator"][2].counts() == union
        assert fitted["aligned"] == []
    else:
        assert len(fitted["generator"]) == 1
        data, classes, weight = fitted["aligned"][1]
        assert data.counts() == digits.tasks[2].train.counts()
        assert int(data.depth.max()) == 0
        assert (classes, weight) == ((0, 1, 2, 3), WEIGHT)
    assert [strategy.depth(c) for c in (0, 2, 4)] == [3, 2, 1]


class Stopped(Exception):
    """What a kill is in this test."""


def test_a_killed_aligned_training_goes_on_exactly(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)

    def train(folder: Path, stop: int | None = None) -> StyleGAN2:
        generator, calls = gan(steps=6), 0
        for parameter in generator.averaged.parameters():
            parameter.mul_(0.9)
        draw = generator.net.draw

        def counted(*arguments: Any) -> list[Tensor]:
            nonlocal calls
            calls += 1
            if calls == stop:
                raise Stopped
            return draw(*arguments)

        monkeypatch.setattr(generator.net, "draw", counted)
        with isolated(1), kept_in(folder):
            generator.fit_aligned(noisy(1), (0, 2), 0.1)
        return generator

    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "killed", stop=8)
    assert states.equal(whole.state_dict(), train(tmp_path / "killed").state_dict())


@pytest.mark.parametrize("method", ["joint", "alignment"])
def test_it_goes_on_exactly(digits: TaskStream, method: str) -> None:
    whole, copy = make(digits, method=method), make(digits, method=method)
    for task in digits.tasks[:2]:
        with isolated(0, "observe", task.index):
            whole.observe(task)
        if task.index == 0:
            copy.load_state_dict(whole.state_dict())
            copy.replay = whole.replay
    with isolated(0, "observe", 1):
        copy.observe(digits.tasks[1])
    assert states.equal(whole.state_dict(), copy.state_dict())
    assert whole.replay is not None
    assert copy.replay is not None
    assert states.equal(whole.replay.state_dict(), copy.replay.state_dict())


def test_stylegan2_unless_another_is_named() -> None:
    assert resolve(Request("merge-gan")).config.generator == "stylegan2"
    assert resolve(Request("merge-gan", generator="gaussian")).config.generator == "gaussian"
    assert resolve(Request("ddgr")).config.generator == "mlp-diffusion"


def test_what_cannot_work_is_refused(digits: TaskStream) -> None:
    with pytest.raises(ValueError, match="no effect on method=joint"):
        MergeGANOptions(alignment_weight=1.0)
    with pytest.raises(ValueError, match="leave out start=fresh"):
        MergeGANOptions(method="alignment", start="fresh")
    setting = Setting(digits.spec, CPU, QUIET, lambda: Gaussian(digits.spec, GaussianOptions(), CPU, QUIET))
    MergeGAN(setting, MergeGANOptions())
    with pytest.raises(UserError, match="cannot be aligned"):
        MergeGAN(setting, MergeGANOptions(method="alignment"))
