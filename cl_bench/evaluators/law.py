"""A fitted law beside the true one, by their parameters: what a loop lost, without the noise of samples.

Where the benchmark's law and that of the generator's samples are both known (law.py), closed forms of I.
Shumailov et al. 2023 (arXiv 2305.17493), Q. Bertrand et al. 2024 (2310.00429) and others speak of exactly
these numbers. Each is the mean over replicas, and beside it, as `:se`, stands the mean's standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cl_bench import register_evaluator
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.rows import Measurement, Metric

DEFINITIONS = {
    "mean_error": ("‖μ − μ₀‖²", None, "squared distance of the fitted mean from the true one"),
    "variance": ("tr Σ / tr Σ₀", None, "fitted total variance over the true one"),
    "variance_squared": ("(tr Σ / tr Σ₀)²", None, "square of the total variance over the true one"),
    "second_moment": ("tr Σ² / tr Σ₀²", None, "sum of squared variances over the true one"),
    "effective_dimension": ("effective dimension", True, "participation ratio (tr Σ)² / tr Σ² of the fit"),
    "w2": ("W₂²", False, "squared 2-Wasserstein distance of the fitted Gaussian from the true one"),
    "std": ("tr √Σ / tr √Σ₀", None, "fitted standard deviation over the true one"),
    "log_det": ("log |Σ| / |Σ₀|", None, "fitted log generalised variance minus the true one"),
    "component_spread": ("component spread", None, "mean total variance of the components over the true one"),
    "heterozygosity": ("heterozygosity", True, "1 − Σp² over the true one (Wright-Fisher)"),
    "support": ("support", True, "categories with any probability"),
    "absorbed": ("absorbed", False, "share of replicas with one category left"),
    "entropy": ("entropy", True, "in nats"),
    "total_variation": ("TV", False, "total variation distance of the probabilities from the true ones"),
    "shift_left": ("shift left", None, "deviation from the first fit's location, over what it was"),
    "weight_error": ("‖w − w*‖²", False, "squared distance of the fitted weights from the true ones"),
}
PREFIX = "law:"


@register_evaluator("law")
class LawEvaluator(Evaluator):
    """The generator's law beside the benchmark's true one, where both are known: W₂², variance, tails."""

    needs = frozenset({"law"})
    replicated = True
    metrics: ClassVar[dict[str, Metric]] = {
        f"{PREFIX}{name}{word}": Metric(f"{title}{' ± se' if word else ''}", None if word else better, text)
        for name, (title, better, doc) in DEFINITIONS.items()
        for word, text in (("", doc), (":se", "standard error over replicas"))
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        truth, fitted = evidence.stream.law, evidence.law()
        if truth is None or fitted is None:
            return
        for name, values in fitted.compared(truth).items():
            n = len(values)
            yield Measurement(f"{PREFIX}{name}", values.mean().item(), n)
            if n > 1:
                yield Measurement(f"{PREFIX}{name}:se", (values.std() / n**0.5).item(), n)
