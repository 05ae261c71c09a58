"""The pictures are written, and what the report's page draws beside them; both show what they should."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from cl_bench import registry
from cl_bench.errors import UserError
from cl_bench.evaluators.label_distances import label_distances
from cl_bench.evaluators.umap import SIDE, Fit, embed, first, thumbnails
from cl_bench.features import Features
from cl_bench.finished_run import Run
from cl_bench.reports import embedding, label_matrix
from cl_bench.reports.where_time_went import timeline
from cl_bench.samples import Samples


def test_umap_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        embed(*np.random.default_rng(0).normal(size=(2, 20, 5)))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_umap_is_the_same_twice_and_keeps_clusters_apart() -> None:
    rng = np.random.default_rng(0)
    features = [rng.normal(centre, 0.1, (40, 5)) for centre in (0, 5)]
    points = embed(*features)
    assert (points == embed(*features)).all()
    assert (points != embed(*features, seed=1)).any()
    assert (points != embed(*features, Fit(neighbours=5))).any()
    a, b = points[:40], points[40:]
    within = max(np.linalg.norm(part - part.mean(0), axis=1).max() for part in (a, b))
    assert np.linalg.norm(a.mean(0) - b.mean(0)) > 2 * within


def test_fitted_on_real_data_replay_moves_no_real_point() -> None:
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(centre, 0.1, (40, 5)) for centre in (0, 5)])
    near, far = rng.normal(0, 0.1, (30, 5)), rng.normal(5, 0.1, (30, 5))
    how = Fit.of("real")
    first, second = embed(real, near, how), embed(real, far, how)
    assert (first[:80] == second[:80]).all()
    centres = first[:40].mean(0), first[40:80].mean(0)
    for points, own, other in ((first[80:], *centres), (second[80:], *centres[::-1])):
        assert (np.linalg.norm(points - own, axis=1) < np.linalg.norm(points - other, axis=1)).all()


def test_how_umap_is_fitted_is_an_argument() -> None:
    cls = registry.evaluators.get("umap:real:30:0.1")
    assert (cls.name, cls.how) == ("umap:real:30:0.1", Fit("real", 30, 0.1))
    assert registry.evaluators.get("umap").how == Fit("both", 15, 0.4)
    for wrong in ("rael", "real:many", "real:1", "both:15:2", "both:15:0.1:7"):
        with pytest.raises(UserError, match=r"umap|UMAP"):
            registry.evaluators.get(f"umap:{wrong}")


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Run:
    from cl_bench.runner import run

    return run(
        "bootstrap",
        generator="gaussian",
        limit=20,
        quiet=True,
        evaluators=("accuracy", "frechet", "label-distances", "samples", "umap"),
        output=tmp_path_factory.mktemp("runs"),
        options={"classifier_steps": 60, "tasks": 2},
    )


def test_grid_and_umap_per_task(looked_at: Run) -> None:
    from PIL import Image

    for t in range(2):
        for name in ("samples.png", "umap.png"):
            with Image.open(looked_at.path / f"task_{t:02d}" / name) as image:
                assert image.size[0] > 500
                assert len(set(image.convert("L").tobytes())) > 20


def test_points_are_of_the_samples_judged(looked_at: Run) -> None:
    """Each point's class, depth and thumbnail is that of a sample on disk, in their order."""
    for t in range(2):
        found = embedding.read(looked_at.directory.task(t))
        judged = looked_at.samples(t)
        assert found is not None
        assert found.images is not None
        n = int(found.replay.sum())
        assert (~found.replay).sum() == n == len(found.y) - n
        counts = {int(c): int((found.y[found.replay] == c).sum()) for c in np.unique(found.y)}
        assert len(counts) == 5 * (t + 1)
        kept = judged.first_per_class(counts)
        assert (kept.y.numpy() == found.y[found.replay]).all()
        assert (kept.depth.numpy() == found.depth[found.replay]).all()
        assert not found.depth[~found.replay].any()
        assert found.depth.max() == t + 1, "the first task's classes are copies of copies"
        at = found.of[found.replay[found.of]] - (len(found.y) - n)
        assert (found.images[found.replay[found.of]] == kept.x.numpy()[at]).all()
    assert "15 neighbours, minimum distance 0.4, seed 0, fitted on real and replayed" in found.caption


def test_real_samples_are_the_same_in_every_task(looked_at: Run) -> None:
    """So that the page needs their images once."""
    images = []
    for t in range(2):
        found = embedding.read(looked_at.directory.task(t))
        assert found is not None
        assert found.images is not None
        images.append({image.tobytes() for image in found.images[~found.replay[found.of]]})
    assert images[0] < images[1]


def test_the_diagonal_is_the_frechet_distance_of_each_class(looked_at: Run) -> None:
    found = label_matrix.read(looked_at.directory.task(1))
    assert found is not None
    assert found.distances.shape == (10, 10)
    rows = looked_at.rows
    rows = rows[(rows.after_task == 1) & rows["class"].notna()].set_index(["metric", "class"]).value
    for i, c in enumerate(found.classes):
        assert found.distances[i, i] == pytest.approx(rows["fd:classifier", c], rel=1e-6)
        assert found.floor[i] == pytest.approx(rows["fd:classifier:floor", c], rel=1e-6)
    assert found.nearest >= 9, "the closed-form generator keeps classes apart"
    assert 0 < found.own < np.median(found.distances)


def test_label_distances_in_closed_form() -> None:
    """Two points ±s around a mean have variance 2 s²: W₂² = (m₁ − m₂)² + (√2 s₁ − √2 s₂)²."""

    def pair(mean: float, s: float) -> list[list[float]]:
        return [[mean - s], [mean + s]]

    y = np.array([3, 3, 7, 7])
    a = Features(np.array(pair(0, 1) + pair(10, 2)), y)
    b = Features(np.array(pair(1, 3) + pair(4, 1)), y)
    found = label_distances(a, b, [7, 3])
    assert found == pytest.approx(np.array([[36 + 2, 81 + 2], [16 + 0, 1 + 8]]))
    lost = label_distances(a, Features(b.x[:2], y[:2]), [7, 3])
    assert np.isnan(lost[:, 0]).all()
    assert lost[:, 1] == pytest.approx(found[:, 1])


def test_thumbnails_are_means_of_pixels_and_no_larger_than_needed() -> None:
    x = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    found = thumbnails(x)
    assert found.shape == (3, 3, SIDE, SIDE)
    expected = x.float().unflatten(3, (32, 2)).unflatten(2, (32, 2)).mean((3, 5))
    assert (found.float() - expected).abs().max() <= 0.5
    small = x[:, :1, :8, :8]
    assert torch.equal(thumbnails(small), small)


def test_first_of_each_class() -> None:
    y = torch.tensor([2, 0, 2, 0, 2])
    assert first(Samples.real(torch.zeros(5, 1), y), 2).tolist() == [1, 3, 0, 2]


def test_each_evaluators_seconds_are_recorded(looked_at: Run) -> None:
    for cost in looked_at.costs:
        seconds = cost["seconds_by_evaluator"]
        assert set(seconds) == {"accuracy", "frechet", "label-distances", "samples", "umap"}
        assert 0 < sum(seconds.values()) <= cost["seconds_evaluation"] + 0.01
    told = json.loads((looked_at.directory.task(0) / "finished.json").read_text())
    assert told["seconds_by_evaluator"]["umap"] > 0
    found = timeline(looked_at)
    assert found is not None
    assert found.total == pytest.approx(
        sum(cost["seconds_training"] + cost["seconds_evaluation"] for cost in looked_at.costs)
    )


def test_files_are_plain_tensors(looked_at: Run) -> None:
    """Anybody can read them without this package."""
    found = load_file(looked_at.directory.task(0) / "umap.safetensors")
    assert set(found) == {"points", "y", "depth", "replay", "of", "thumbnails"}
    assert found["points"].dtype == np.float32
    assert found["thumbnails"].dtype == np.uint8
