"""Perplexity, both ways: real text under the present generator, and what it writes under the first one.

I. Shumailov et al. 2023 (arXiv 2305.17493), fig. 1: perplexity of real test text rises from generation to
generation, while the text that later generations write becomes more and more likely for generation 0, trained
on real text, and its tail grows longer: models repeat what was likely, and make mistakes that generation 0
never would. Natural logarithms, every token of a block predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from cl_bench import register_evaluator, state
from cl_bench.evaluator import Evaluator, Evidence
from cl_bench.metrics.perplexity import Perplexity, perplexity
from cl_bench.rows import Measurement, Metric
from cl_bench.samples import concat

DOCUMENTS = "perplexity.safetensors"
NAME, OF_SAMPLES = "perplexity", "perplexity_of_samples"


@register_evaluator("perplexity")
class PerplexityEvaluator(Evaluator):
    """Perplexity of real test text, and of the synthetic text under the first generation's model.

    Those of all documents lie in perplexity.safetensors of the task's folder, for histograms.
    """

    needs = frozenset({"samples"})
    modalities = ("text",)
    metrics: ClassVar[dict[str, Metric]] = {
        NAME: Metric("perplexity", False, "exp of nats per token of real test text, under the generator"),
        OF_SAMPLES: Metric(
            "perplexity of samples", None, "of the synthetic text, under the generator after the first task"
        ),
        f"{OF_SAMPLES}:median": Metric(
            "perplexity of samples, median", None, "the same, median over documents"
        ),
        f"{OF_SAMPLES}:tail": Metric(
            "perplexity of samples, tail", None, "the same, 99.9 % quantile over documents"
        ),
    }

    def evaluate(self, evidence: Evidence) -> Iterator[Measurement]:
        assert evidence.samples is not None
        real, written = concat(evidence.stream.test).of(evidence.seen).x, evidence.samples.x
        nats = evidence.nats(real)
        if nats is None:
            return
        of_real = _perplexity(nats, real)
        yield Measurement(NAME, of_real.corpus, len(real))
        under_first = evidence.nats(written, after_task=0)
        assert under_first is not None
        of_samples = _perplexity(under_first, written)
        yield Measurement(OF_SAMPLES, of_samples.corpus, len(written))
        yield Measurement(f"{OF_SAMPLES}:median", of_samples.median, len(written))
        yield Measurement(f"{OF_SAMPLES}:tail", of_samples.tail, len(written))
        documents = {"real": of_real.documents, "samples": of_samples.documents}
        content = {name: torch.from_numpy(values) for name, values in documents.items()}
        state.save(evidence.folder / DOCUMENTS, content)


def _perplexity(nats: Tensor, x: Tensor) -> Perplexity:
    """Of documents x (n, L); infinite where one of them cannot be."""
    if not nats.isfinite().all():
        return Perplexity(float("inf"), (nats / x[0].numel()).exp().numpy())
    return perplexity(nats.numpy(), np.full(len(x), x[0].numel()))
