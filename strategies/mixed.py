"""Mixed λ: all real data of old classes plus λ synthetic samples per real one.

Paper: Q. Bertrand et al. 2024, "On the Stability of Iterative Retraining of Generative Models on their
own Data", arXiv 2310.00429: retraining on D_real ∪ ⌊λ n⌋ samples of the latest generator, stable for
small λ. Mix: real r, lambda λ; with `real` = 1 this is the paper's protocol, with 0.1 and lambda 0.9 it
is Shumailov et al.'s "preserve 10 %".

Deviation: the floor of λ n is taken class by class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Interval, Lt

from cl_bench import register_strategy
from cl_bench.mix import Mix, lambda_of
from cl_bench.strategies.mix_strategy import MixStrategy, TrainingOptions


@dataclass(frozen=True)
class MixedOptions(TrainingOptions):
    lambda_: Annotated[float, Ge(0)] = 0.5
    """synthetic samples per real sample of an old class (Bertrand et al.'s λ)"""
    real: Annotated[float, Interval(ge=0, le=1)] = 1.0
    """share of an old class's real samples that is kept"""
    synthetic_fraction: Annotated[float, Ge(0), Lt(1)] | None = None
    """instead of lambda: share of synthetic samples in an old class's training set"""

    def __post_init__(self) -> None:
        if self.synthetic_fraction is not None and self.lambda_ != MixedOptions.lambda_:
            raise ValueError("give lambda or synthetic_fraction, not both")
        if self.synthetic_fraction and not self.real:
            raise ValueError("synthetic_fraction needs real data beside it; give real above 0")


@register_strategy("mixed")
class Mixed(MixStrategy):
    """Keep real data of old classes and add λ synthetic samples per real one (real 1, lambda λ)."""

    paper = "Bertrand et al. 2024, arXiv 2310.00429"
    Options = MixedOptions

    def mix(self) -> Mix:
        options = self.options
        if options.synthetic_fraction is None:
            return Mix(real=options.real, lambda_=options.lambda_)
        return Mix(real=options.real, lambda_=lambda_of(options.synthetic_fraction, options.real))
