"""Mixed λ: all real data of old classes plus λ synthetic samples per real one.

Paper: Q. Bertrand et al. 2024, "On the Stability of Iterative Retraining of Generative Models on their
own Data", arXiv 2310.00429: retraining on D_real ∪ ⌊λ n⌋ samples of the latest generator, stable for
small λ. Mix: real r, lambda λ; with `real` = 1 this is the paper's protocol, with 0.1 and lambda 0.9 it
is Shumailov et al.'s "preserve 10 %".

Deviation: the floor of λ n is taken class by class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Interval

from cl_bench import register_strategy
from cl_bench.mix import Mix, lambda_of
from cl_bench.strategies.mix_strategy import MixOptions, MixStrategy


@dataclass(frozen=True)
class MixedOptions(MixOptions):
    lambda_: Annotated[float, Ge(0)] | None = None
    """synthetic samples per real sample of an old class (Bertrand et al.'s λ); none for 0.5, or for what
    synthetic_fraction says"""
    real: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """share of an old class's real samples that is kept"""
    synthetic_fraction: Annotated[float, Interval(ge=0, le=1)] | None = None
    """instead of lambda: share of synthetic samples in an old class's training set, λ/(real + λ)"""

    def __post_init__(self) -> None:
        """Fill in whichever of lambda and synthetic_fraction is missing: both are shown and recorded."""
        super().__post_init__()
        share, lam = self.synthetic_fraction, self.lambda_
        if share and lam is None and not self.real:
            raise ValueError("synthetic_fraction needs real data beside it; give real above 0")
        if lam is None:
            lam = 0.5 if share is None else lambda_of(share, self.real)
        implied = Mix(self.real, lam).synthetic_fraction
        if share is not None and not math.isclose(share, implied, abs_tol=1e-9):
            raise ValueError(
                f"lambda={lam:g} is a synthetic_fraction of {implied:g}, not {share:g}; give one"
            )
        object.__setattr__(self, "lambda_", lam)
        object.__setattr__(self, "synthetic_fraction", implied)


@register_strategy("mixed")
class Mixed(MixStrategy):
    """Keep real data of old classes and add λ synthetic samples per real one (real 1, lambda λ)."""

    paper = "Bertrand et al. 2024, arXiv 2310.00429"
    stores = "the share `real` of the real data, and the replay set, λ samples per real one"
    cost = "drawing the replay set, once a task"
    limits = "keeps real data, all of them unless `real` is lowered"
    Options = MixedOptions

    def mix(self) -> Mix:
        return Mix(self.options.real, self.options.lambda_, growth=self.options.growth)
