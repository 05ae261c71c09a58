"""The MLP diffusion model: it learns real digits, guidance works, colours stay."""

from __future__ import annotations

import pytest
import torch

from cl_bench.classifier import Classifier
from cl_bench.errors import TrainingDiverged
from cl_bench.generator import Guide
from cl_bench.generators.mlp_diffusion import MLPDiffusion, MLPDiffusionOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples, concat, scaled
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec, TaskStream


def make(spec: StreamSpec, **options: object) -> MLPDiffusion:
    with isolated(0, "init"):
        return MLPDiffusion(spec, MLPDiffusionOptions(**options), torch.device("cpu"), Progress(quiet=True))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(digits: TaskStream) -> MLPDiffusion:
    generator = make(digits.spec, steps=600)
    with isolated(0, "fit"):
        generator.fit(concat(task.train for task in digits.tasks))
    return generator


def test_real_classifier_recognises_its_samples(digits: TaskStream, trained: MLPDiffusion) -> None:
    with isolated(0, "probe"):
        probe = Classifier(digits.spec, torch.device("cpu"))
        probe.fit(concat(task.train for task in digits.tasks), Progress(quiet=True))
        y = torch.arange(10).repeat(30)
        x = trained.sample(y)
    assert x.dtype == torch.uint8
    assert tuple(x.shape) == (300, 1, 8, 8)
    assert (probe.predict(x).argmax(1) == y).float().mean() > 0.9


def test_guidance_raises_the_guides_log_probability(digits: TaskStream, trained: MLPDiffusion) -> None:
    with isolated(0, "guide"):
        guide = Classifier(digits.spec, torch.device("cpu"))
        guide.fit(concat(task.train for task in digits.tasks), Progress(quiet=True), steps=150)
    y = torch.arange(10).repeat(20)
    every = tuple(range(10))

    def mean_log_prob(scale: float) -> float:
        with isolated(0, "sample"):
            x = trained.sample(y, Guide(lambda x, y: guide.log_prob(x, y, every), scale) if scale else None)
        return guide.log_prob(scaled(x), y, every).mean().item()

    plain, weak, strong = mean_log_prob(0), mean_log_prob(1), mean_log_prob(3)
    assert plain < weak < strong


def test_zero_guidance_changes_nothing(trained: MLPDiffusion) -> None:
    y = torch.arange(10)
    with isolated(0, "sample"):
        plain = trained.sample(y)
    with isolated(0, "sample"):
        guided = trained.sample(y, Guide(lambda x, y: x.flatten(1).sum(1), 0.0))
    assert torch.equal(plain, guided)


def test_pure_red_stays_red() -> None:
    spec = StreamSpec("image", (3, 4, 4), ("red",), 1)
    x = torch.zeros(64, 3, 4, 4, dtype=torch.uint8)
    x[:, 0] = 255
    generator = make(spec, steps=600, width=128)
    with isolated(0, "fit"):
        generator.fit(Samples.real(x, torch.zeros(64).long()))
        sample = generator.sample(torch.zeros(8).long()).float()
    assert sample[:, 0].mean() > 230
    assert sample[:, 1:].mean() < 25


def test_no_labels_no_samples(trained: MLPDiffusion) -> None:
    assert tuple(trained.sample(torch.empty(0).long()).shape) == (0, 1, 8, 8)


def test_sampling_uses_the_averaged_weights(trained: MLPDiffusion) -> None:
    copy = make(trained.spec)
    copy.load_state_dict(trained.state_dict())
    torch.nn.init.zeros_(copy.net.outward.weight)
    y = torch.arange(10)
    with isolated(0, "sample"):
        expected = trained.sample(y)
    with isolated(0, "sample"):
        assert torch.equal(copy.sample(y), expected)


def test_divergence_stops_training(digits: TaskStream) -> None:
    generator = make(digits.spec, steps=50)
    torch.nn.init.constant_(generator.net.outward.bias, float("nan"))
    with pytest.raises(TrainingDiverged, match="generator mlp-diffusion: the loss is nan at step 1"):
        generator.fit(digits.tasks[0].train)
