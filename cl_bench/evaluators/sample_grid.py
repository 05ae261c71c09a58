"""Real and replayed samples, class by class: a picture of images, and of text some of it."""

from __future__ import annotations

from collections.abc import Iterator

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement
from cl_bench.samples import Samples, concat
from cl_bench.tiles import tiles

COLUMNS, INCHES_PER_IMAGE = 10, 0.42
BLOCKS = 5


@register_evaluator("samples")
class SampleGrid(Evaluator):
    """Samples per task, real beside replay: samples.png with a row per class, or samples.txt."""

    needs = frozenset({"samples"})

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        assert evidence.samples is not None
        real = concat(evidence.stream.test)
        if evidence.stream.spec.modality == "image":
            draw(evidence, real, evidence.samples)
        if evidence.stream.tokenizer:
            write(evidence, real, evidence.samples)
        yield from ()


def write(evidence: Evidence, real: Samples, replay: Samples) -> None:
    """The first blocks of each, as text."""
    from cl_bench.tokenizer import Encoding

    encoding = Encoding(evidence.stream.tokenizer)
    lines = []
    for title, part in (("real (test)", real), ("replay", replay)):
        for i, text in enumerate(encoding.decode(part.x[:BLOCKS]), start=1):
            lines += [f"=== {title} {i}, {evidence.when}", text, ""]
    (evidence.folder / "samples.txt").write_text("\n".join(lines), encoding="utf-8")


def draw(evidence: Evidence, real: Samples, replay: Samples) -> None:
    from matplotlib.figure import Figure

    names, seen = evidence.stream.spec.class_names, evidence.seen
    width, height = (2 * COLUMNS + 2.6) * INCHES_PER_IMAGE, len(seen) * INCHES_PER_IMAGE + 0.55
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, title, part in zip(axes, ("real (test)", "replay"), (real, replay), strict=True):
        ax.imshow(tiles(part, seen, COLUMNS).numpy(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_title(f"{title}, {evidence.when}", fontsize=9)
        ax.set_xticks([])
        ax.tick_params(length=0, labelsize=8)
        ax.spines[:].set_visible(False)
    step = evidence.stream.spec.shape[1] + 1
    middle = [step * (k + 0.5) - 1 for k in range(len(seen))]
    axes[0].set_yticks(middle, [names[c] for c in seen])
    axes[0].set_ylabel("class", fontsize=8)
    axes[1].set_yticks(middle, [_depth(replay, c) for c in seen])
    axes[1].yaxis.tick_right()
    axes[1].set_ylabel("generation depth", fontsize=8)
    axes[1].yaxis.set_label_position("right")
    figure.savefig(evidence.folder / "samples.png", bbox_inches="tight", pad_inches=0.05)


def _depth(replay: Samples, c: int) -> str:
    depths = replay.of((c,)).depth.unique().tolist()
    return ", ".join(str(d) for d in depths)
