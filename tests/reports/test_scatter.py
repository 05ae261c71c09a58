"""Points for the page: within a budget, and what is left out when bytes run out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cl_bench.finished_run import Run
from cl_bench.reports import embedding
from cl_bench.reports.scatter import scatter

Make = Callable[..., Run]
EmbedTask = Callable[..., Path]
MEGABYTE = 1_000_000


def numbers(text: object) -> np.ndarray:
    return np.frombuffer(base64.b64decode(str(text)), "<u2")


def test_data_without_images_have_points_all_the_same(make_run: Make, embed_task: EmbedTask) -> None:
    run = make_run()
    embed_task(run, 0, side=None, each=3000)
    one = embedding.read(run.directory.task(0))
    assert one is not None
    found = scatter({0: one}, ["a", "b", "c"], {0: "after task 1"}, 10 * MEGABYTE)
    assert found is not None
    (task,) = json.loads(found.json)["tasks"]
    assert task["cells"] is None
    assert len(numbers(task["classes"])) == 6 * (10_000 // 6)
    assert f"{6 * (10_000 // 6):,} of 18,000 points" in found.left_out


@pytest.mark.parametrize("budget", [30_000, 60_000, 200_000])
def test_points_keep_to_their_budget(make_run: Make, embed_task: EmbedTask, budget: int) -> None:
    run = make_run()
    path = embed_task(run, 0, each=400, side=8)
    one = embedding.read(path.parent)
    assert one is not None
    noisy = np.random.default_rng(0).integers(0, 256, (2400, 1, 8, 8), dtype=np.uint8)
    one = embedding.Embedding(one.points, one.y, one.depth, one.replay, noisy, one.of, one.about)
    found = scatter({0: one}, ["a", "b", "c"], {0: "t"}, budget)
    assert found is not None
    assert 0.5 * budget < len(found.json) <= budget
    classes = numbers(json.loads(found.json)["tasks"][0]["classes"])
    assert len(set(np.bincount(classes).tolist())) == 1, "equally many of each class"
    assert f"{len(classes):,} of 2,400 points" in found.left_out


def test_images_are_left_out_where_few_points_could_have_them(make_run: Make, embed_task: EmbedTask) -> None:
    one = embedding.read(embed_task(make_run(), 0, each=50).parent)
    assert one is not None
    noise = np.random.default_rng(0).integers(0, 256, (300, 3, 32, 32), dtype=np.uint8)
    one = embedding.Embedding(one.points, one.y, one.depth, one.replay, noise, one.of, one.about)
    found = scatter({0: one}, ["a", "b", "c"], {0: "t"}, 10_000)
    assert found is not None
    packed = json.loads(found.json)
    assert packed["size"] is None
    assert len(numbers(packed["tasks"][0]["classes"])) == 300
    assert "300 of 300 points are drawn, without images" in found.left_out


def test_a_budget_too_small_for_a_picture_gives_none(make_run: Make, embed_task: EmbedTask) -> None:
    run = make_run()
    one = embedding.read(embed_task(run, 0).parent)
    assert one is not None
    assert scatter({0: one}, ["a", "b", "c"], {0: "t"}, 500) is None
    assert scatter({}, [], {}, MEGABYTE) is None
