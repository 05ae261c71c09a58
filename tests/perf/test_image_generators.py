"""Training and sampling speed of the image generators.

Run by hand on a quiet machine: `uv run pytest -m perf -s tests/perf/test_image_generators.py`.
"""

from __future__ import annotations

import time

import pytest
import torch

from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.progress import Progress
from cl_bench.seeds import isolated

pytestmark = pytest.mark.perf

STEPS, SAMPLES = 200, 200


def test_tiny_ddpm_on_a_cpu(build) -> None:
    """1,000 real CIFAR-100 images: 200 steps and 200 samples in under 3 minutes on two cores."""
    stream = build("splitcifar100", tasks=50, valid_fraction=0.0).build()
    task, options = stream.tasks[0], DDPMOptions(steps=STEPS, batch=64)
    generator = DDPM(stream.spec, options, torch.device("cpu"), Progress(quiet=True))
    with isolated(0):
        start = time.perf_counter()
        generator.fit(task.train)
        trained = time.perf_counter()
        x = generator.sample(torch.tensor(task.classes).repeat(SAMPLES // 2))
        sampled = time.perf_counter()
    assert len(task.train) == 1000
    assert x.shape == (SAMPLES, 3, 32, 32)
    millions = sum(p.numel() for p in generator.net.parameters()) / 1e6
    print(
        f"\nddpm tiny, {millions:.1f} M parameters, batch 64: {(trained - start) / STEPS:.3f} s a step, "
        f"{SAMPLES} samples in {sampled - trained:.1f} s, together {sampled - start:.0f} s"
    )
    assert sampled - start < 180
