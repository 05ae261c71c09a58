"""What evaluators left to be looked at after each task: pictures, and samples of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cl_bench.finished_run import Run
from cl_bench.reports import embedding, per_task
from cl_bench.reports.pictures import Picture, lighter, whole

SAMPLES, UMAP, DENSITY, TEXT = "samples.png", "umap.png", "density.png", "samples.txt"
CAPTIONS = {
    SAMPLES: "Samples: real test data (left) and replay (right), a row per class.",
    UMAP: "UMAP of features: real (dots) and replay (crosses); its title says how it was fitted.",
    DENSITY: "Densities in the plane: real (left) and replay (right), at one scale.",
}
WIDE = {SAMPLES, DENSITY}
MOST_TASKS = 10
LISTED = 20  # classes in a heading
TEXT_CHARACTERS = 6_000


@dataclass(frozen=True)
class TaskPictures:
    """What there is to see after one task; number: from 1. text: samples of text, or ""."""

    number: int
    classes: str
    pictures: list[Picture]
    text: str


def shown(done: int, every: bool) -> list[int]:
    """Which of `done` finished tasks to show: all, ten evenly spaced ones with the first and the last where
    there are more, or, if not `every`, the last."""
    if not every:
        return list(range(max(done - 1, 0), done))
    if done <= MOST_TASKS:
        return list(range(done))
    return sorted({round(i * (done - 1) / (MOST_TASKS - 1)) for i in range(MOST_TASKS)})


def task_pictures(run: Run, tasks: Sequence[int], budget: int) -> tuple[list[TaskPictures], list[str]]:
    """What there is to see after `tasks`, their pictures in at most `budget` bytes of page; and sentences
    about what is on disk and not there. A UMAP whose points are on disk is left to the page's script."""
    found = [(t, picture) for t in tasks for picture in _pictures(run, t)]
    light = lighter([picture for _, picture in found], budget)
    notes = []
    if light is None:
        light, found = [], []
        notes.append(f"Pictures are left out, to keep this page light: see {run.path}")
    by_task: dict[int, list[Picture]] = {t: [] for t in tasks}
    for (t, _), picture in zip(found, light, strict=True):
        by_task[t].append(picture)
    every = [
        TaskPictures(t + 1, per_task.class_names(run, t, LISTED), by_task[t], _text(run.directory.task(t)))
        for t in tasks
    ]
    return [one for one in every if one.pictures or one.text], notes


def _pictures(run: Run, t: int) -> list[Picture]:
    folder = run.directory.task(t)
    found = []
    for name, caption in CAPTIONS.items():
        if name == UMAP and (folder / embedding.FILE).is_file():
            continue
        png = _bytes(folder / name)
        if whole(png):
            found.append(Picture(caption, png, name in WIDE, file=f"{folder.name}/{name}"))
    return found


def _text(folder: Path) -> str:
    text = _bytes(folder / TEXT).decode("utf-8", errors="replace")
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]} …"


def _bytes(path: Path) -> bytes:
    """Empty where there is no such file, as while a run goes on."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
