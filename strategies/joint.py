"""Joint (cumulative) training: all real data of all tasks so far. The upper bound.

Mix: real 1, lambda 0 (G. van de Ven, A. Tolias 2019, arXiv 1904.07734). Its generator is trained on the
same real data, so its distances are those of a generator of depth 1.
"""

from __future__ import annotations

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixStrategy


@register_strategy("joint")
class Joint(MixStrategy):
    """Train on all real data so far: the upper bound (real 1, lambda 0)."""

    paper = "van de Ven and Tolias 2019, Three scenarios for continual learning, arXiv 1904.07734"
    stores = "all real data of all tasks"
    cost = "nothing; sets grow with the tasks, and so does training that is given in epochs"
    limits = "a bound, not a method: real data are kept for good"

    def mix(self) -> Mix:
        return Mix(real=1, lambda_=0)
