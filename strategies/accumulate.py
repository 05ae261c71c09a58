"""Accumulate: real data and the synthetic data of every past generation are all kept.

Paper: M. Gerstgrasser et al. 2024, "Is Model Collapse Inevitable? Breaking the Curse of Recursion by
Accumulating Real and Synthetic Data", arXiv 2404.01413. Mix: real 1, lambda 1 per past generation,
accumulated.
"""

from __future__ import annotations

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixStrategy


@register_strategy("accumulate")
class Accumulate(MixStrategy):
    """Keep real data and every generation's samples (real 1, lambda 1 per past generation)."""

    paper = "Gerstgrasser et al. 2024, arXiv 2404.01413"

    def mix(self) -> Mix:
        return Mix(real=1, lambda_=1, accumulate=True)
