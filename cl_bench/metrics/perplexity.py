"""How surprised a language model is by text: perplexity of a corpus and of each of its documents.

Shumailov et al. 2023 (arXiv 2305.17493, fig. 1) judge the text that generation t writes by generation 0: its
perplexities fall in the middle while the longest tail grows, so one mean hides both. Natural logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Perplexity:
    """corpus: exp(all nats / all tokens), which weights tokens equally. documents (n,): exp(nats / tokens) of
    each. All ≥ 1, lower is less surprising; a model that knows nothing of V tokens has V."""

    corpus: float
    documents: np.ndarray

    @property
    def median(self) -> float:
        """Median of the documents, each counting once."""
        return float(np.median(self.documents))

    @property
    def tail(self) -> float:
        """The documents' 99.9 % quantile, linear between order statistics; of fewer than 1000
        documents little else than the largest."""
        return float(np.quantile(self.documents, 0.999))

    def histogram(self, edges: np.ndarray) -> np.ndarray:
        """Shares of the documents between ascending `edges` (b+1,), (b,); what lies outside is in no bin.

        The same edges for all generations make their histograms comparable; perplexities want geometric ones.
        """
        return np.histogram(self.documents, edges)[0] / len(self.documents)


def perplexity(nats: np.ndarray, tokens: np.ndarray) -> Perplexity:
    """Perplexity from each document's negative log-likelihood `nats` (n,), summed over its `tokens` (n,) ≥ 1.

    ValueError for no documents, infinite or NaN values, documents without tokens, and log-likelihoods that
    lack their minus sign.
    """
    nats, tokens = np.asarray(nats, dtype=np.float64), np.asarray(tokens)
    if nats.ndim != 1 or len(nats) == 0 or tokens.shape != nats.shape:
        raise ValueError(
            f"expected nats (n,) and tokens (n,) with n ≥ 1, got {nats.shape} and {tokens.shape}"
        )
    if not np.isfinite(nats).all():
        raise ValueError("negative log-likelihoods hold NaN or infinity")
    if tokens.min() < 1:
        raise ValueError("a document without tokens has no perplexity")
    # float32 log-probabilities of sure tokens may round to a little above 0.
    if (nats / tokens).min() < -1e-3:
        raise ValueError("negative log-likelihoods of tokens are ≥ 0; were log-likelihoods passed?")
    return Perplexity(float(np.exp(nats.sum() / tokens.sum())), np.exp(nats / tokens))


def per_document(token_nats: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Sums over each document's `tokens` (n,), as (n,). token_nats: padded to (n, L), where values beyond a
    document's length are ignored, or one after the other, (Σ tokens,). ValueError when lengths do not fit."""
    x, tokens = np.asarray(token_nats, dtype=np.float64), np.asarray(tokens)
    if x.ndim == 1:
        if tokens.sum() != len(x) or tokens.min(initial=1) < 1:
            raise ValueError(
                f"documents of {tokens.sum()} tokens in all, ≥ 1 each, do not fit {len(x)} values"
            )
        return np.add.reduceat(x, np.cumsum(tokens) - tokens) if len(x) else x
    if x.ndim != 2 or tokens.shape != (len(x),) or tokens.max(initial=0) > x.shape[1]:
        raise ValueError(f"expected (n, L) and (n,) lengths of at most L, got {x.shape} and {tokens.shape}")
    return np.where(np.arange(x.shape[1]) < tokens[:, None], x, 0).sum(1)
