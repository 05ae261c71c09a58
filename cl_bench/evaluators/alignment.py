"""Whether real and replayed data lie alike in a latent space (see metrics/alignment.py).

A. Zverev, A. S. Koepke, J. Henriques 2025 (arXiv 2512.11867) argue that generative replay loses this
alignment. It is measured in each frozen extractor, and in the strategy's own classifier, as "own": there the
network drifts as well as the data, so the two must be read apart. The floor there is of data the strategy
was trained on, beside test data: it shows how far the network's own memory parts the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence, Side
from cl_bench.features import Features
from cl_bench.metrics.alignment import centroids, domain_auc, linear_cka, procrustes_residual
from cl_bench.rows import Ends, Measurement, Metric

OWN = "own"
SIDES: tuple[Side, ...] = ("real", "replay", "floor")
WORDS: tuple[tuple[str, Side], ...] = (("", "replay"), (":floor", "floor"))
DEFINITIONS = {
    "cka": ("CKA", True, "unbiased linear CKA of real and replayed class means (Kornblith et al. 2019)"),
    "centroid_cosine": (
        "centroid cosine",
        True,
        "mean cosine of real and replayed class means about the real mean",
    ),
    "procrustes": ("Procrustes", False, "what of the class means no rotation explains"),
    "domain_auc": (
        "domain AUC",
        False,
        "a linear classifier telling real from replayed, ½ is best, held out",
    ),
}
WHERE = (("{extractor}", "{extractor}"), (OWN, "the strategy's own classifier"))


@register_evaluator("alignment")
class Alignment(Evaluator):
    """Latent alignment: CKA, centroid cosine, Procrustes, domain AUC; in frozen features and its own."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        f"{name}:{where}{word}": Metric(
            f"{title}{' (own)' if where == OWN else ''}{word.replace(':', ' ')}",
            None if word else better,
            "real vs real" if word else f"{text}; features: {features}",
            "" if word else "subsampling",
        )
        for name, (title, better, text) in DEFINITIONS.items()
        for where, features in WHERE
        for word in ("", ":floor")
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        spaces = {extractor.name: extractor for extractor in evidence.extractors}
        for name in (*spaces, OWN):
            sides: dict[Side, Features] = {}
            for side in SIDES:
                found = evidence.own_features(side) if name == OWN else evidence.features(side, spaces[name])
                if found is None:
                    return
                sides[side] = found
            for word, side in WORDS:
                real, other = sides["real"], sides[side]
                values = alignment(real, other)
                ends: dict[str, Ends] = {}
                if side == "replay":
                    ends = evidence.intervals.of_sets(alignment, values, real, other)
                for metric, value in values.items():
                    yield Measurement(f"{metric}:{name}{word}", value, len(real), interval=ends.get(metric))


def alignment(real: Features, other: Features) -> dict[str, float]:
    """All four of two labelled sets; NaN for what too few classes or samples leave undefined."""
    measures: dict[str, Callable[[], float]] = {
        "cka": lambda: linear_cka(*means.common, unbiased=True),
        "centroid_cosine": lambda: means.cosine,
        "procrustes": lambda: procrustes_residual(*means.common),
        "domain_auc": lambda: domain_auc(real.x, other.x),
    }
    means = centroids(real.x, real.y, other.x, other.y)
    found = {}
    for name, measure in measures.items():
        try:
            found[name] = measure()
        except ValueError:  # of one class there is no direction, of two no shape
            found[name] = float("nan")
    return found
