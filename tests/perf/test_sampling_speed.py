"""20 steps of the default sampler against 250 ancestral ones: images/s and Fréchet distance, same weights.

The network is trained on real digits first, and the distance measured in the features of the frozen
reference classifier, to the same real test digits. By hand on a quiet machine:
`uv run pytest -m perf -s tests/perf/test_sampling_speed.py`.
"""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from cl_bench.extractors.classifier import ClassifierFeatures
from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.samples import labels_for
from cl_bench.seeds import isolated

pytestmark = pytest.mark.perf

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PER_CLASS = 30 if DEVICE.type == "cpu" else 500


def test_twenty_steps_are_as_good_as_250_ancestral_ones(build) -> None:
    stream = build("mnist", generations=1).build()
    generator = DDPM(stream.spec, DDPMOptions(steps=500, batch=64), DEVICE, Progress())
    reference = ClassifierFeatures(stream.spec, DEVICE)
    reference.fit(RealSets(stream), Progress(quiet=True))
    with isolated(0):
        generator.fit(stream.tasks[0].train)
    real = reference.features(stream.test[0].x).numpy()
    y = labels_for(dict.fromkeys(range(10), PER_CLASS))
    distance, speed = {}, {}
    for sampler, steps in (("dpm-solver++", 20), ("ancestral", 250)):
        generator.options = dataclasses.replace(generator.options, sampler=sampler, sampling_steps=steps)
        with isolated(0, "sample"):
            start = time.perf_counter()
            x = generator.sample(y)
            speed[sampler] = len(y) / (time.perf_counter() - start)
        distance[sampler] = frechet_distance(real, reference.features(x).numpy())
        print(f"\n{sampler}, {steps} steps: {speed[sampler]:.1f} images/s, Fréchet {distance[sampler]:.4f}")
    assert speed["dpm-solver++"] >= 10 * speed["ancestral"]
    assert distance["dpm-solver++"] <= 1.05 * distance["ancestral"]
