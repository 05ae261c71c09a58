"""`ddgr`'s steps at scale gpu against 250 ancestral ones: network evaluations and Fréchet distance.

Guided replay of six classes of CIFAR-100, by the networks that scale cpu of `zverev2025-cifar100` ends with,
seeds 0 to 2, in the features of the frozen reference classifier. Half an hour on two cores, by hand:
`uv run pytest -m perf -s tests/perf/test_ddgr_steps.py`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from statistics import mean

import pytest
import torch

from cl_bench.costs import counted
from cl_bench.extractors.classifier import ClassifierFeatures
from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.recipe import find_recipe
from cl_bench.reproduction import arguments
from cl_bench.runner import run
from cl_bench.samples import labels_for
from cl_bench.seeds import isolated

pytestmark = pytest.mark.perf

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
PER_CLASS = 50


def test_a_twentieth_of_the_evaluations_is_enough(build, real_data, tmp_path: Path) -> None:
    recipe = find_recipe("zverev2025-cifar100")
    few = recipe.scale("gpu").generators["ddpm"]["sampling_steps"]
    scale = recipe.scale("cpu")
    (configuration,) = (c for c in recipe.configurations if c.label == "ddgr")
    asked = arguments(configuration, scale) | {"evaluators": ("depth",), "extractors": None}
    stream = build("splitcifar100", **scale.benchmarks["splitcifar100"]).build(limit=scale.limit)
    reference = ClassifierFeatures(stream.spec, CPU)
    reference.fit(RealSets(stream), QUIET)
    real = reference.features(torch.cat([test.x for test in stream.test])).numpy()
    y = labels_for(dict.fromkeys(range(6), PER_CLASS))
    evaluations: dict[int, int] = {}
    distances: dict[int, list[float]] = {few: [], 250: []}
    for seed in range(3):
        done = run(**asked, seed=seed, output=tmp_path, data_root=real_data("cifar100"), progress=QUIET)
        strategy = done.restored(task=done.num_tasks - 1)
        for sampler, steps in (("dpm-solver++", few), ("ancestral", 250)):
            options = dataclasses.replace(strategy.generator.options, sampler=sampler, sampling_steps=steps)
            strategy.generator.options = options
            with isolated(seed, "sample"), counted() as costs:
                x = strategy.sample(y)
            evaluations[steps] = costs.network_evaluations
            distances[steps].append(frechet_distance(real, reference.features(x).numpy()))
            print(
                f"\nseed {seed}, {sampler}, {steps} steps: {costs.network_evaluations} evaluations, "
                f"Fréchet {distances[steps][-1]:.3f}"
            )
    assert evaluations[few] <= evaluations[250] / 20
    assert mean(distances[few]) <= 1.05 * mean(distances[250])
