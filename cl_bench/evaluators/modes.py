"""What became of the modes of a mixture of round Gaussians: there, in place, as heavy and as wide as before?

Definitions and sources: metrics/modes.py. Each number of the replay stands beside that of as much other real
data, `:floor`. OTDD takes the nearest mode of a sample as its label, so that mass in the wrong mode, or a
mode of another shape, counts (M. Zverev et al. 2025, arXiv 2512.11867, report OTDD on five Gaussians; labels
are our choice).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence, Side
from cl_bench.law import MixtureLaw
from cl_bench.metrics.modes import Modes, modes
from cl_bench.metrics.otdd import otdd
from cl_bench.rows import Measurement, Metric
from cl_bench.stream import TaskStream

NUMBERS = {
    "covered": (
        "modes covered",
        True,
        "share of modes with 5 % or more of the samples within 3 std they should have",
    ),
    "high_quality": (
        "high quality",
        None,
        "share of samples within 3 std of a mode; the floor is the true share",
    ),
    "total_variation": (
        "TV of modes",
        False,
        "total variation distance of the modes' weights from the true ones",
    ),
    "kl": ("KL of modes", False, "KL divergence of the modes' weights from the true ones, nats"),
    "spread": ("mode spread", None, "variance within a mode over the true one, mean over modes"),
    "least_spread": ("least spread", None, "variance within the narrowest mode over the true one"),
}
OTDD = "otdd:modes"


@register_evaluator("modes")
class ModesEvaluator(Evaluator):
    """Modes of a mixture of round Gaussians: covered, in place, weights, spread; OTDD by mode."""

    needs = frozenset({"samples", "law"})
    metrics: ClassVar[dict[str, Metric]] = {
        **{
            f"modes:{name}{word}": Metric(
                f"{title} floor" if word else title,
                None if word else better,
                "other real data at the same n" if word else text,
            )
            for name, (title, better, text) in NUMBERS.items()
            for word in ("", ":floor")
        },
        OTDD: Metric("OTDD (modes)", False, "real vs replay, labels: the nearest mode"),
        f"{OTDD}:floor": Metric("OTDD (modes) floor", None, "real vs real at the same n"),
    }

    @classmethod
    def fits(cls, stream: TaskStream, generative: bool) -> bool:
        return super().fits(stream, generative) and _round(stream.law) is not None

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        found = _round(evidence.stream.law)
        assert found is not None
        weights, centres, std = found
        judged: dict[Side, tuple[np.ndarray, Modes]] = {}
        sides: tuple[Side, ...] = ("replay", "floor", "real")
        for side in sides:
            x = evidence.sides[side].x.flatten(1).double().numpy()
            judged[side] = x, modes(x, centres, std, weights)
        for side, word in (("replay", ""), ("floor", ":floor")):
            for name, value in _numbers(judged[side][1]).items():
                yield Measurement(f"modes:{name}{word}", value, judged[side][1].n)
        real, labels = judged["real"][0], judged["real"][1].nearest
        for side, word in (("replay", ""), ("floor", ":floor")):
            x, its = judged[side]
            yield Measurement(f"{OTDD}{word}", otdd(real, labels, x, its.nearest).value, its.n)


def _numbers(found: Modes) -> dict[str, float]:
    spread = found.spread[np.isfinite(found.spread)]
    return {
        "covered": found.covered(),
        "high_quality": found.high_quality,
        "total_variation": found.total_variation,
        "kl": found.kl,
        "spread": float(spread.mean()) if len(spread) else math.nan,
        "least_spread": float(spread.min()) if len(spread) else math.nan,
    }


def _round(law: object) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Weights (k,), centres (k, d) and standard deviations (k,) of a mixture of round Gaussians; None for any
    other law."""
    if not isinstance(law, MixtureLaw) or len(law.weights) != 1:
        return None
    weights, centres, covariances = (v[0].numpy() for v in (law.weights, law.centres, law.covariances))
    variance = covariances[:, 0, 0]
    if not np.allclose(covariances, variance[:, None, None] * np.eye(centres.shape[1])):
        return None
    return weights, centres, np.sqrt(variance)
