"""What sampling costs: counted where generators sample, and recorded with each task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cl_bench import state
from cl_bench.costs import SamplingCosts, begin_memory, counted, evaluated, peak_memory, sampling, uncounted
from cl_bench.generator import Guide
from cl_bench.processes import ALONE
from cl_bench.progress import Progress
from cl_bench.registry import generators
from cl_bench.run_directory import REPLAY_MANIFEST
from cl_bench.seeds import isolated
from cl_bench.state import under
from cl_bench.stream import StreamSpec

SPEC = StreamSpec("image", (1, 8, 8), ("a", "b"), 1)
LABELS = torch.tensor([0, 1, 1])


def generator(name: str, **options: object):
    cls = generators.get(name)
    with isolated(0, "init"):
        return cls(SPEC, cls.Options(**options), torch.device("cpu"), Progress(quiet=True))


@pytest.mark.parametrize(
    ("name", "options", "per_image"),
    [
        ("mlp-diffusion", {"sampling_steps": 7}, 7),
        ("ddpm", {"sampling_steps": 5}, 5),
        ("ddpm", {"sampling_steps": 5, "cfg": 2.0}, 10),
        ("edm", {"sampling_steps": 4}, 7),  # Heun: two evaluations at all levels but the last
        ("flow", {"sampling_steps": 6}, 6),
        ("vae", {}, 1),
        ("stylegan2", {"width": 8, "latent": 8}, 1),
        ("resnet-gan", {"latent": 8}, 1),
        ("gaussian", {}, 0),
    ],
)
def test_network_evaluations_by_hand(name: str, options: dict[str, object], per_image: int) -> None:
    made = generator(name, **options)
    with counted() as costs:
        made.sample(LABELS)
        made.sample(LABELS[:1])
    assert costs.network_evaluations == 4 * per_image
    assert costs.samples == 4
    assert costs.seconds > 0


def test_evaluations_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is of rows that the sampling network was really given, guided or not."""
    made = generator("ddpm", sampling_steps=4, sampling_batch=2)
    rows = []
    forward = type(made.averaged).forward
    monkeypatch.setattr(
        type(made.averaged), "forward", lambda self, x, t, y: (rows.append(len(x)), forward(self, x, t, y))[1]
    )
    with counted() as costs:
        made.sample(LABELS, Guide(lambda x, y: x.flatten(1).sum(1), 1.0))
    # Three images in batches of two: the second batch draws an image again, to have the same shape.
    assert costs.network_evaluations == sum(rows) == 16
    assert costs.samples == 3


def test_nobody_listens_nothing_is_counted() -> None:
    made = generator("mlp-diffusion", sampling_steps=3)
    with counted() as costs, uncounted():
        made.sample(LABELS)
        evaluated(5)
    assert costs == SamplingCosts()
    evaluated(5)  # outside: no error


def test_a_generator_inside_another_counts_once() -> None:
    with counted() as costs:
        with sampling(10), sampling(3):
            evaluated(2)
        with sampling(1):
            pass
    assert (costs.samples, costs.network_evaluations) == (11, 2)


def test_an_inner_count_keeps_its_own() -> None:
    with counted() as outer:
        evaluated(1)
        with counted() as inner:
            evaluated(10)
    assert (outer.network_evaluations, inner.network_evaluations) == (1, 10)


def test_alone_the_costs_are_its_own() -> None:
    assert SamplingCosts(3, 0.5, 60).over(ALONE) == SamplingCosts(3, 0.5, 60)


def test_memory_is_labelled() -> None:
    cpu = torch.device("cpu")
    begin_memory(cpu)
    before = peak_memory(cpu)
    assert before["peak_memory_of"] == "process"
    assert 50 < before["peak_memory_mb"] < 100_000
    more = torch.ones(60_000_000)  # 240 MB that are written to
    assert peak_memory(cpu)["peak_memory_mb"] >= before["peak_memory_mb"]
    del more


def test_a_run_records_costs_and_where_its_replay_comes_from(fast_run) -> None:
    options = {"generator.steps": 10, "sampling_steps": 4, "tasks": 2}
    run = fast_run("bootstrap", generator="mlp-diffusion", options=options, seed=3)
    for t, cost in enumerate(run.costs):
        replay = run.replay(t)
        assert replay is not None
        assert cost["network_evaluations"] == 4 * len(replay), "replay only, not what evaluators draw"
        assert cost["sampled"] == cost["replay_samples"] == len(replay)
        assert 0 < cost["seconds_sampling"] <= cost["seconds_training"]
        assert cost["peak_memory_of"] in ("process", "cuda, this task")

        folder = run.directory.task(t)
        about = json.loads((folder / REPLAY_MANIFEST).read_text())
        assert (about["run"], about["seed"], about["after_task"]) == (run.id, 3, t)
        assert about["strategy"]["name"] == "bootstrap"
        assert about["generator"]["name"] == "mlp-diffusion"
        assert about["generator"]["options"]["sampling_steps"] == 4
        weights = under("generator", state.load(folder / "checkpoint.safetensors"))
        assert about["generator_sha256"] == state.checksum(weights)
        assert about["replay_sha256"] == state.checksum(state.load(folder / "replay.safetensors"))
        assert {int(c): entry["samples"] for c, entry in about["classes"].items()} == replay.counts()
    assert about["classes"]["0"]["depths"] == {"2": replay.counts()[0]}
    assert about["classes"]["9"]["depths"] == {"1": replay.counts()[9]}
    kept = ("checkpoint.safetensors", "replay.safetensors", REPLAY_MANIFEST, "training_*")
    sizes = [file.stat().st_size for name in kept for file in folder.glob(name)]
    assert run.costs[1]["stored_bytes"] == sum(sizes), "the strategy's files, not those of evaluators"


def test_without_replay_nothing_was_sampled(fast_run) -> None:
    run = fast_run("joint", options={"tasks": 2})
    for t, cost in enumerate(run.costs):
        assert cost["network_evaluations"] is cost["seconds_sampling"] is cost["sampled"] is None
        assert not (run.directory.task(t) / REPLAY_MANIFEST).exists()


def test_previews_are_no_cost_of_replay(fast_run, tmp_path: Path) -> None:
    options = {"generator.steps": 4, "generator.batch": 8, "grid_every": 2, "tasks": 2}
    run = fast_run("bootstrap", generator="vae", options=options)
    assert list(run.directory.task(0).glob("*_step_000002.png"))
    assert [cost["network_evaluations"] for cost in run.costs] == [c["replay_samples"] for c in run.costs]


def test_checksums_tell_names_and_values_apart() -> None:
    a = {"a": torch.arange(3), "b": torch.tensor(1.5, dtype=torch.bfloat16)}
    assert state.checksum(a) == state.checksum(dict(reversed(a.items())))
    assert state.checksum(a) != state.checksum({"a": a["a"], "c": a["b"]})
    assert state.checksum(a) != state.checksum(a | {"a": torch.tensor([0, 1, 3])})
