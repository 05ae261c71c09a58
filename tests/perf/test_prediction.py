"""What a UNet of large patches learns of natural images in 400 steps, by what it predicts: Fréchet distance.

Two classes of CIFAR-100; 100 samples against the 200 real test images, in the features of the frozen
reference classifier. By hand: `uv run pytest -m perf -s tests/perf/test_prediction.py`.
"""

from __future__ import annotations

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

CPU = torch.device("cpu")
STEPS, RATE = 400, 1e-3


def test_predicting_the_image_is_learned_long_before_v(build) -> None:
    stream = build("splitcifar100", classes=6, tasks=3).build(limit=500)
    task, test = stream.tasks[0], stream.test[0]
    reference = ClassifierFeatures(stream.spec, CPU)
    reference.fit(RealSets(stream), Progress(quiet=True))
    real = reference.features(test.x).numpy()
    y = labels_for(dict.fromkeys(task.classes, 50))
    distance = {}
    for prediction in ("v", "x0"):
        options = DDPMOptions(
            size="micro", prediction=prediction, steps=STEPS, batch=32, learning_rate=RATE, sampling_steps=12
        )
        with isolated(0):
            generator = DDPM(stream.spec, options, CPU, Progress(quiet=True))
            start = time.perf_counter()
            generator.fit(task.train)
            step = (time.perf_counter() - start) / STEPS
        with isolated(0, "sample"):
            distance[prediction] = frechet_distance(real, reference.features(generator.sample(y)).numpy())
        print(f"\n{prediction}: Fréchet {distance[prediction]:.3f}, {1000 * step:.0f} ms a step")
    assert distance["x0"] < distance["v"] / 4
