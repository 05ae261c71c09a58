"""Every image generator on real photographs, 32 and 64 pixels: it trains, samples, and goes on from disk.

The budgets are tiny: enough for a denoiser's loss to fall and for the others' samples to be smooth, not for
pictures. How good they can be is measured in docs/results.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from torch import Tensor

from cl_bench import state
from cl_bench.checkpoint import kept_in
from cl_bench.options import build as build_options
from cl_bench.progress import Progress
from cl_bench.registry import generators
from cl_bench.samples import Samples, scaled
from cl_bench.seeds import isolated
from cl_bench.stream import TaskStream

pytestmark = pytest.mark.slow

KINDS = ("ddpm", "edm", "flow", "stylegan2", "vae")
BUDGET: dict[str, dict[str, Any]] = {
    "cifar": {"steps": 40, "batch": 16, "ema": 0.9},
    "flowers": {"steps": 40, "batch": 8, "ema": 0.9},
}
FEW_STEPS = {"ddpm": 10, "edm": 6, "flow": 10}


def stream_of(build, data: str) -> tuple[TaskStream, int]:
    """Four classes of CIFAR-100 at 32 pixels, or of Flowers-102 at 64."""
    if data == "cifar":
        return build("splitcifar100", tasks=25).build(), 32
    return build("splitflowers102", tasks=25, remainder="spread").build(), 64


def new(kind: str, stream: TaskStream, budget: dict[str, Any]) -> Any:
    cls = generators.get(kind)
    options = dict(budget)
    if kind in FEW_STEPS:
        options |= {"sampling_steps": FEW_STEPS[kind], "learning_rate": 1e-3}
    if kind == "vae":
        options |= {"steps": 150, "learning_rate": 2e-3, "ema": 0.95}
    with isolated(0, "generator"):
        return cls(
            stream.spec, build_options(cls.Options, options, kind), torch.device("cpu"), Progress(quiet=True)
        )


def roughness(x: Tensor) -> float:
    """Mean squared difference of neighbouring pixels over the variance: 2 for white noise, small for
    photographs."""
    x = scaled(x)
    return ((x[..., 1:] - x[..., :-1]).square().mean() / x.var()).item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", BUDGET)
def test_real_images(build, data: str, kind: str, tmp_path: Path) -> None:
    stream, size = stream_of(build, data)
    train: Samples = stream.tasks[0].train
    assert len(train.classes) >= 4
    generator = new(kind, stream, BUDGET[data])
    (tmp_path / "records").mkdir()
    with isolated(0, "fit"), kept_in(tmp_path / "checkpoints", tmp_path / "records"):
        generator.fit(train)
    y = torch.tensor(train.classes).repeat_interleave(3)
    with isolated(0, "sample"):
        x = generator.sample(y)
    assert x.shape == (len(y), 3, size, size)
    assert x.dtype == torch.uint8
    losses = [loss for _, loss in json.loads((tmp_path / "records" / "training_00.json").read_text())["loss"]]
    print(kind, data, losses[0], losses[-1], roughness(x), roughness(train.x))
    if kind in FEW_STEPS:
        assert mean(losses[-8:]) < 0.85 * mean(losses[:3])
    else:
        assert roughness(x) < 1.0
    assert abs(x.float().mean() - train.x.float().mean()) < 60
    assert x.float().std() > 5
    assert len(x.flatten(1).unique(dim=0)) == len(y)

    state.save(tmp_path / "saved.safetensors", generator.state_dict())
    again = new(kind, stream, BUDGET[data])
    again.load_state_dict(state.load(tmp_path / "saved.safetensors"))
    with isolated(0, "sample"):
        assert torch.equal(again.sample(y), x)
