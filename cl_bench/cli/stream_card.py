"""What `cl-bench show` tells about a benchmark's stream, read off the data themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cl_bench.benchmark import Benchmark
    from cl_bench.samples import Samples

WIDTH, INDENT = 108, 14


def stream_card(benchmark: Benchmark, order_seed: int | None) -> str:
    """Sizes, order, fingerprint, tasks with class names, and test samples that stand in train, too.

    Raises UserError when the data are missing or the options do not fit them.
    """
    from cl_bench.samples import shared

    data, stream = benchmark.chosen(), benchmark.build(order_seed)
    spec = stream.spec
    transforms = (benchmark.data_set() or benchmark).transforms
    held_out = f"{benchmark.options.valid_fraction:.0%} of each held out as valid"
    facts = {
        "data": f"{spec.modality}, {'×'.join(map(str, spec.shape))}, {spec.num_classes} classes",
        "train": f"{_sizes(data.train)}, {held_out}",
        "test": _sizes(data.test),
        "order seed": "none: the data set's own order" if order_seed is None else str(order_seed),
        "transforms": transforms,
        "training": f"augmentation: {spec.augmentation}",
        "fingerprint": f"{stream.fingerprint} (SHA-256)",
    }
    if stream.note:
        facts["note"] = stream.note
    both = shared(data.test, data.train)
    if both:
        pairs = ", ".join(f"{i} = {j}" for i, j in both[:20]) + (", …" if len(both) > 20 else "")
        facts["in both"] = (
            f"{len(both)} test sample{'s' * (len(both) != 1)} in train, too, left in (test = train): {pairs}"
        )
    lines = ["stream, with these options:", *_listed(facts.items())]
    tasks = stream.tasks[:1] if spec.stationary else stream.tasks
    for task in tasks:
        title = f"task 1…{spec.num_tasks}" if spec.stationary else f"task {task.index + 1}"
        test = stream.test[stream.group_of(task.index)]
        sizes = f"{len(task.train):,} train, {len(task.valid):,} valid, {len(test):,} test"
        names = ", ".join(spec.class_names[c] for c in task.classes)
        lines += _listed([(title, f"{len(task.classes)} classes, {sizes}: {names}")])
    return "\n".join(lines)


def _sizes(samples: Samples) -> str:
    counts = samples.counts().values()
    low, high = min(counts), max(counts)
    return f"{len(samples):,} samples, {low if low == high else f'{low} to {high}'} a class"


def _listed(facts: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for name, text in facts:
        wrapped = textwrap.wrap(text, WIDTH - INDENT, break_long_words=False)
        lines += [
            f"  {head:<{INDENT - 2}}{part}"
            for head, part in zip([name] + [""] * len(wrapped), wrapped, strict=False)
        ]
    return lines
