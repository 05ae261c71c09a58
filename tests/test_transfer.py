"""A generator that begins as a saved one: all that fits is taken over, the rest named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cl_bench import registry, state
from cl_bench.errors import UserError
from cl_bench.generators.vae import VAE, VAEOptions
from cl_bench.progress import Progress
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec
from cl_bench.transfer import transfer

CPU = torch.device("cpu")


def vae(classes: int, seed: int, width: int = 8) -> VAE:
    spec = StreamSpec("image", (1, 8, 8), tuple(map(str, range(classes))), 1)
    with isolated(seed):
        return VAE(spec, VAEOptions(width=width), CPU, Progress(quiet=True))


def test_everything_but_the_classes_comes_from_the_file(tmp_path: Path, capsys) -> None:
    saved, fresh, before = vae(5, 0), vae(3, 1), vae(3, 1)
    state.save(tmp_path / "saved.safetensors", saved.state_dict())
    transfer(fresh, str(tmp_path / "saved.safetensors"), Progress())
    theirs = saved.state_dict()
    for name, value in fresh.state_dict().items():
        expected = before.state_dict()[name] if "label" in name else theirs[name]
        assert torch.equal(value, expected), name
    said = capsys.readouterr().err
    assert f"of {len(theirs)} tensors" in said
    assert "fresh: averaged.label.weight, net.label.weight" in said


@pytest.mark.parametrize("name", ["vae", "ddpm", "stylegan2", "resnet-gan"])
def test_from_a_run(name: str, fast_run, quiet: Progress) -> None:
    options = {"generator.steps": 3, "generator.batch": 8, "tasks": 2}
    if name == "ddpm":
        options["generator.sampling_steps"] = 2
    settings = {"generator": name, "evaluators": ("accuracy",)}
    first = fast_run("bootstrap", options=options, **settings)
    saved = state.under("generator", state.load(first.path / "task_01" / "checkpoint.safetensors"))
    cls = registry.generators.get(name)
    with isolated(1):
        fresh = cls(first.spec, cls.Options(), CPU, quiet)
    assert not state.equal(fresh.state_dict(), saved)
    transfer(fresh, str(first.path), quiet)
    assert state.equal(fresh.state_dict(), saved)
    later = fast_run("bootstrap", options=options | {"generator.weights": str(first.path)}, **settings)
    assert later.id != first.id
    assert later.finished


def test_mistakes_are_told(tmp_path: Path, fast_run) -> None:
    quiet = Progress(quiet=True)
    with pytest.raises(UserError, match=r"nowhere\.safetensors is missing"):
        transfer(vae(2, 0), str(tmp_path / "nowhere.safetensors"), quiet)
    with pytest.raises(UserError, match=r"is no run: it has no manifest\.json"):
        transfer(vae(2, 0), str(tmp_path), quiet)
    state.save(tmp_path / "other.safetensors", {"something": torch.zeros(2)})
    with pytest.raises(UserError, match=r"nothing in .* fits generator 'vae'"):
        transfer(vae(2, 0), str(tmp_path / "other.safetensors"), quiet)
    with pytest.raises(UserError, match="is missing"):
        fast_run("bootstrap", generator="vae", options={"generator.weights": str(tmp_path / "no")})
    assert not (tmp_path / "runs").exists(), "nothing half-written"
