"""The page of a run: what it holds, how heavy it is, and that nothing a run says can steer it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cl_bench.finished_run import Run
from cl_bench.reports.page import render
from cl_bench.reports.pictures import Picture
from cl_bench.reports.report import StandardReport
from cl_bench.rows import Row

Make = Callable[..., Run]
EmbedTask = Callable[..., Path]
EVIL = "</script><script>alert(1)</script>"
MEGABYTE = 1_000_000


class Parsed(HTMLParser):
    """Elements by tag, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[dict[str, str | None], str]] = []
        self._open: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs) if tag in ("script", "style") else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.inside.append((self._open, data))

    @property
    def islands(self) -> list[dict[str, object]]:
        return [json.loads(text) for attrs, text in self.inside if attrs.get("type") == "application/json"]


def page_of(runs: list[Run]) -> str:
    return render(StandardReport._content(runs), [Picture("A figure.", png(4, 4))])


def numbers(text: object) -> np.ndarray:
    return np.frombuffer(base64.b64decode(str(text)), "<u2")


def picture(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def png(height: int, width: int, seed: int = 0) -> bytes:
    """Noise, which compresses badly."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def test_points_images_and_names_are_those_on_disk(make_run: Make, embed_task: EmbedTask) -> None:
    run = make_run()
    for t in range(3):
        embed_task(run, t, classes=t + 1, depth=t + 1)
    (found,) = Parsed(page_of([run])).islands
    assert found["names"] == ["cat", "dog", "owl"]
    assert found["size"] == [8, 8]
    assert [task["title"] for task in found["tasks"]] == [f"after task {t} of 3" for t in (1, 2, 3)]
    cells = {}
    for t, task in enumerate(found["tasks"]):
        classes, cell, depths = (numbers(task[name]) for name in ("classes", "cells", "depths"))
        xy = numbers(task["points"]).reshape(-1, 2).astype(float)
        replay = np.arange(len(classes)) >= task["real"]
        assert len(classes) == 8 * (t + 1) == 2 * task["real"]
        assert (depths == np.where(replay, t + 1, 0)).all()
        if t:
            # Class c lies at 10 c, and the plane is scaled evenly to its longer side.
            assert np.corrcoef(xy[:, 0], classes)[0, 1] > 0.99
            above = xy[replay, 1].mean() - xy[~replay, 1].mean()
            apart = xy[classes == 1, 0].mean() - xy[classes == 0, 0].mean()
            assert above / apart == pytest.approx(0.1, abs=0.02)
        for source, where in ((found["sheet"], ~replay), (task["sheet"], replay)):
            pixels, columns = picture(source["src"]), source["columns"]
            for c, k in zip(classes[where], cell[where], strict=True):
                top, left = 8 * (k // columns), 8 * (k % columns)
                assert pixels[top + 4, left + 4, 0] == 10 * c + (source is task["sheet"])
        cells[t] = {(int(c), int(k)) for c, k in zip(classes[~replay], cell[~replay], strict=True)}
    assert cells[0] < cells[1] < cells[2], "real samples are there once for all tasks"
    assert len(cells[2]) == 12


@pytest.mark.slow
def test_the_page_of_five_tasks_of_a_hundred_classes_is_below_five_megabytes(
    make_run: Make, embed_task: EmbedTask
) -> None:
    """At CIFAR-100's sizes: images as detailed as photographs, sample grids of noise, which is worse."""
    run = make_run(class_names=tuple(f"class {c}" for c in range(100)))
    manifest = json.loads((run.path / "manifest.json").read_text())
    manifest["tasks"] = [list(range(20 * t, 20 * t + 20)) for t in range(5)]
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    rows = len(run.directory.rows())
    for t in range(5):
        folder, k = run.directory.task(t), 20 * (t + 1)
        folder.mkdir(exist_ok=True)
        y = np.tile(np.repeat(np.arange(k, dtype=np.int32), 100), 2)
        replay = np.repeat(np.array([0, 1], np.uint8), 100 * k)
        of = np.flatnonzero(np.arange(len(y)) % 100 < 25).astype(np.int32)
        coarse = np.random.default_rng(t).integers(0, 256, (len(of), 3, 8, 8), dtype=np.uint8)
        images = coarse.repeat(4, axis=2).repeat(4, axis=3)
        points = np.random.default_rng(t).normal(size=(len(y), 2)).astype(np.float32)
        found = {"points": points, "y": y, "depth": replay.astype(np.int32), "replay": replay, "of": of}
        save_file(found | {"thumbnails": images}, folder / "umap.safetensors")
        (folder / "samples.png").write_bytes(png(55 * k, 1234))
        distances = np.random.default_rng(t).random((k, k))
        labels = {"classes": np.arange(k), "distances": distances, "floor": np.ones(k)}
        save_file(labels, folder / "label_distances.safetensors")
        if t >= 3:
            run.directory.finish(t, {"task": t, "seconds_training": 1.0, "stored_bytes": 1}, rows)
    page = page_of([Run(run.directory)])
    (found,) = Parsed(page).islands
    assert len(found["tasks"]) == 5
    assert found["size"] == [32, 32]
    assert len(numbers(found["tasks"][4]["classes"])) >= 2 * 5 * 100
    assert len(page.encode()) < 5 * MEGABYTE
    assert "To keep the page light" in page
    assert "Compressed for this page; task_04/samples.png is not." in page


def test_nothing_untrusted_becomes_markup(make_run: Make, embed_task: EmbedTask) -> None:
    names = (EVIL, 'x" onload="y', "<!--<script>")
    run = make_run(EVIL, class_names=names)
    embed_task(run, 2)
    parsed = Parsed(page_of([run]))
    assert parsed.islands[0]["names"] == list(names)
    scripts = [attrs for tag, attrs in parsed.tags if tag == "script"]
    assert [attrs.get("type") for attrs in scripts] == ["application/json", None, None]
    for tag, attributes in parsed.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert "style" not in attributes, "the policy forbids it"


def test_the_policy_allows_our_scripts_and_nothing_else(make_run: Make, embed_task: EmbedTask) -> None:
    run = make_run()
    embed_task(run, 2)
    parsed = Parsed(page_of([run]))
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and a.get("http-equiv"))
    rules = dict(rule.strip().partition(" ")[::2] for rule in str(policy).split(";"))
    assert rules.keys() == {"default-src", "img-src", "style-src", "script-src"}
    assert (rules["default-src"], rules["img-src"]) == ("'none'", "data:")
    code = [text for attrs, text in parsed.inside if attrs.get("type") is None]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in code]
    assert f"{rules['style-src']} {rules['script-src']}".split() == hashes


def test_a_comparison_has_the_last_task_of_each_run(make_run: Make, embed_task: EmbedTask) -> None:
    runs = [make_run(), make_run("ddgr")]
    for run in runs:
        for t in range(3):
            embed_task(run, t)
    islands = Parsed(page_of(runs)).islands
    assert [[task["title"] for task in one["tasks"]] for one in islands] == [["after task 3 of 3"]] * 2


def test_runs_of_a_comparison_have_names_that_tell_them_apart(make_run: Make) -> None:
    runs = [
        make_run(seed=seed, strategy_options={"lambda": value}) for seed in (1, 0) for value in (0.5, 0.1)
    ]
    found = re.findall(r"<summary>(.*?) <span", page_of(runs))
    names = [f"mixed lambda={value} on toy, seed {seed}" for value in (0.1, 0.5) for seed in (0, 1)]
    assert found == names


def test_many_runs_share_what_a_page_may_weigh(
    make_run: Make, embed_task: EmbedTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(seed=seed) for seed in range(4)]
    for run in runs:
        embed_task(run, 2, each=300)
        (run.directory.task(2) / "samples.png").write_bytes(png(300, 300, run.seed))
    monkeypatch.setattr("cl_bench.reports.page.POINT_BYTES", 60_000)
    monkeypatch.setattr("cl_bench.reports.page.PICTURE_BYTES", 200_000)
    page = page_of(runs)
    islands = [text for attrs, text in Parsed(page).inside if attrs.get("type")]
    assert len(islands) == 4
    assert max(map(len, islands)) <= 15_000
    assert page.count("data:image/webp") >= 4


def test_contents_lead_to_what_is_there(make_run: Make, embed_task: EmbedTask) -> None:
    for runs in ([make_run()], [make_run("a"), make_run("b")]):
        embed_task(runs[0], 2)
        parsed = Parsed(page_of(runs))
        anchors = [str(a["href"])[1:] for tag, a in parsed.tags if tag == "a"]
        ids = [str(a["id"]) for _, a in parsed.tags if a.get("id")]
        assert set(anchors) <= set(ids)
        assert len(ids) == len(set(ids))
        assert {"content", "tables", "figures"} <= set(anchors)


def test_a_run_at_any_moment_gives_a_page(make_run: Make, embed_task: EmbedTask) -> None:
    """While a task is judged its pictures and some of its rows are there, files half written among them."""
    run = make_run(finished=2)
    for t in range(2):
        embed_task(run, t)
    whole_file = embed_task(run, 1).read_bytes()
    folder = run.directory.task(2)
    folder.mkdir()
    (folder / "samples.png").write_bytes(png(5, 5))
    run.directory.append(Row(run.id, "toy", "mixed", 0, 2, 0, None, "accuracy_class_il", 0.5, 42, 0.0))
    for cut in (0, 4, 200, len(whole_file) - 1):
        (run.directory.task(1) / "umap.safetensors").write_bytes(whole_file[:cut])
        (run.directory.task(1) / "samples.png").write_bytes(png(5, 5)[:cut])
        (run.directory.task(1) / "label_distances.safetensors").write_bytes(b"\xff" * cut)
        (found,) = Parsed(page_of([Run(run.directory)])).islands
        assert [task["title"] for task in found["tasks"]] == ["after task 1 of 3"]
    (run.directory.task(0) / "umap.safetensors").unlink()
    assert not Parsed(page_of([Run(run.directory)])).islands


def test_runs_of_older_versions_say_what_they_lack(make_run: Make) -> None:
    run = make_run(versions={"cl-bench": "0.0.1+abc"})
    (run.directory.task(2) / "umap.png").write_bytes(png(6, 7))
    page = page_of([run])
    assert "Made by cl-bench 0.0.1" in page
    assert f"cl-bench evaluate {run.path} --evaluators umap" in page
    assert "data:image/png" in page, "the picture is what there is"
    assert "Judging, by evaluator" not in page


def test_a_manifest_with_the_barest_facts_gives_a_page(make_run: Make, embed_task: EmbedTask) -> None:
    run = make_run()
    embed_task(run, 2)
    (run.directory.task(1) / "finished.json").write_text('{"task": 1, "rows": 45}')
    manifest = {key: run.manifest[key] for key in ("config", "versions", "tasks")}
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    page = page_of([Run(run.directory)])
    assert "0.900" in page, "the numbers are there"
    assert Parsed(page).islands[0]["names"] == ["0", "1", "2"]


def test_samples_of_text_are_shown_as_text(make_run: Make) -> None:
    run = make_run()
    (run.directory.task(2) / "samples.txt").write_text(f"=== replay 1\n{EVIL}\n" + "word " * 5000)
    page = page_of([run])
    assert "=== replay 1\n&lt;/script&gt;" in page
    assert EVIL not in page
    assert 4_000 < page.count("word ") * 5 < 6_100, "the beginning"
