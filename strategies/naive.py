"""Naive fine-tuning: nothing of old classes is kept or replayed. The lower bound.

Mix: real 0, lambda 0. Known as "finetune" or "none" too (G. van de Ven, A. Tolias 2019, arXiv 1904.07734).
"""

from __future__ import annotations

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixStrategy


@register_strategy("naive")
class Naive(MixStrategy):
    """Fine-tune on new classes only: the lower bound (real 0, lambda 0)."""

    paper = "van de Ven and Tolias 2019, Three scenarios for continual learning, arXiv 1904.07734"
    stores = "nothing"
    cost = "nothing"
    limits = "forgets, by design; refuses a loop, of which nothing would come back"

    def mix(self) -> Mix:
        return Mix(real=0, lambda_=0)
