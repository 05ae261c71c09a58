"""Plain bootstrapping: old classes come back only as samples of the previous generator.

Papers: M. Zverev, A. S. Koepke, J. F. Henriques 2025, arXiv 2512.11867; I. Shumailov et al. 2023, arXiv
2305.17493 ("replace"). Mix: real 0, lambda 1: as many synthetic samples of an old class as it once had
real ones.

Deviations: networks go on from the previous task's weights unless `start=fresh`; samples carry the label
they were asked for.
"""

from __future__ import annotations

from cl_bench import register_strategy
from cl_bench.mix import Mix
from cl_bench.strategies.mix_strategy import MixOptions, MixStrategy


@register_strategy("bootstrap")
class Bootstrap(MixStrategy):
    """Replace old data by the generator's own samples, task after task (real 0, lambda 1)."""

    paper = "Zverev, Koepke, Henriques 2025, arXiv 2512.11867; Shumailov et al. 2023, arXiv 2305.17493"
    stores = "the replay set, as many samples of each class as it had real ones; it could be drawn again"
    cost = "drawing the replay set, once a task"
    limits = "drifts: generation t is trained on samples that are t − 1 deep"
    Options = MixOptions

    def mix(self) -> Mix:
        return Mix(real=0, lambda_=1, growth=self.options.growth)
