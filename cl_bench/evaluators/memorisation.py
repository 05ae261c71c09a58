"""Whether replay repeats training samples (see metrics/memorisation.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence, Side
from cl_bench.metrics.memorisation import authentic
from cl_bench.rows import Measurement, Metric

SIDES: tuple[tuple[str, Side], ...] = (("", "replay"), (":real", "real"))


@register_evaluator("memorisation")
class Memorisation(Evaluator):
    """AuthPct: samples farther from their nearest training sample than that one is from its own nearest."""

    needs = frozenset({"samples", "features"})
    default = False
    metrics: ClassVar[dict[str, Metric]] = {
        "auth_pct:{extractor}": Metric(
            "AuthPct",
            None,
            "percentage of authentic samples (Alaa et al. 2022), features: {extractor}",
            "bootstrap",
        ),
        "auth_pct:{extractor}:real": Metric("AuthPct real", None, "of test data, which nobody trained on"),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        for extractor in evidence.extractors:
            known = evidence.training_features(extractor).on_device
            for word, side in SIDES:
                x = evidence.features(side, extractor).on_device
                name = f"auth_pct:{extractor.name}{word}"
                if len(known) < 2 or not len(x):
                    yield Measurement(name, None, len(x))
                    continue
                hits = authentic(known, x).numpy()
                ends = evidence.intervals.of_shares(hits) if side == "replay" else None
                percent = None if ends is None else (100 * ends[0], 100 * ends[1])
                yield Measurement(name, 100 * int(hits.sum()) / len(hits), len(x), interval=percent)
