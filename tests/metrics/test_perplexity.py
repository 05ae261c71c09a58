"""Perplexity: uniform models, weights of tokens and documents, tails."""

from __future__ import annotations

import numpy as np
import pytest

from cl_bench.metrics.perplexity import per_document, perplexity


def test_a_uniform_model_over_v_tokens_has_v() -> None:
    tokens = np.array([1, 7, 300])
    found = perplexity(tokens * np.log(50), tokens)
    assert found.corpus == pytest.approx(50, rel=1e-12)
    assert found.documents == pytest.approx([50, 50, 50], rel=1e-12)
    assert found.median == pytest.approx(50)
    assert found.tail == pytest.approx(50)


def test_the_corpus_weights_tokens_and_the_median_weights_documents() -> None:
    tokens = np.array([1, 1, 98])
    found = perplexity(tokens * np.log([2.0, 8.0, 32.0]), tokens)
    # (1 · 1 + 3 · 1 + 5 · 98) / 100 bits.
    assert found.corpus == pytest.approx(2**4.94, rel=1e-12)
    assert found.median == pytest.approx(8, rel=1e-12)


def test_samples_of_a_known_law_have_the_exponential_of_its_entropy() -> None:
    p, rng = np.array([0.5, 0.25, 0.125, 0.125]), np.random.default_rng(0)
    nats = -np.log(p)[rng.choice(4, size=(200, 50), p=p)]
    entropy, n = -(p * np.log(p)).sum(), nats.size
    spread = np.sqrt((p * np.log(p) ** 2).sum() - entropy**2)
    found = perplexity(nats.sum(1), np.full(200, 50))
    assert abs(np.log(found.corpus) - entropy) < 5 * spread / np.sqrt(n)


def test_the_tail_quantile_sees_two_documents_in_a_thousand() -> None:
    tokens = np.full(1000, 10)
    documents = np.full(1000, 20.0)
    assert perplexity(tokens * np.log(documents), tokens).tail == pytest.approx(20)
    documents[:2] = 4000
    found = perplexity(tokens * np.log(documents), tokens)
    assert found.tail == pytest.approx(4000)
    assert found.median == pytest.approx(20)


def test_histogram_has_shares_of_all_documents() -> None:
    found = perplexity(np.log([2.0, 3.0, 20.0, 999.0]), np.ones(4))
    assert found.histogram(np.array([1, 10, 100])).tolist() == [0.5, 0.25]


def test_padded_and_flat_tokens_have_the_same_sums() -> None:
    tokens = np.array([2, 1, 3])
    padded = np.array([[1, 2, np.nan], [4, np.nan, np.nan], [5, 6, 7]])
    assert per_document(padded, tokens).tolist() == [3, 4, 18]
    assert per_document(np.array([1, 2, 4, 5, 6, 7]), tokens).tolist() == [3, 4, 18]


def test_degenerate_input_is_refused() -> None:
    with pytest.raises(ValueError, match="n ≥ 1"):
        perplexity(np.empty(0), np.empty(0))
    with pytest.raises(ValueError, match="NaN or infinity"):
        perplexity(np.array([np.inf]), np.array([1]))
    with pytest.raises(ValueError, match="without tokens"):
        perplexity(np.array([0.0]), np.array([0]))
    with pytest.raises(ValueError, match="log-likelihoods passed"):
        perplexity(np.array([-3.0]), np.array([2]))
    with pytest.raises(ValueError, match="do not fit 3 values"):
        per_document(np.ones(3), np.array([1, 1]))
    with pytest.raises(ValueError, match="at most L"):
        per_document(np.ones((1, 3)), np.array([4]))
