"""Two interleaving half circles, as flow matching draws them: 3x − 1 of unit half circles with noise.

`make_moons` of scikit-learn at noise 0.2, then ×3 − 1 as in the release of A. Tong et al. 2024 (arXiv
2302.00482); shown, too, in Q. Bertrand et al. 2024 (2310.00429).

Deviation: that release adds one uniform number from [0, 0.2] to both coordinates of a point, which shifts it
along the diagonal; scikit-learn's noise is Gaussian, in each coordinate. Angles are evenly spaced, in its and
in ours. There is no law in closed form: judge by samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench import register_benchmark
from cl_bench.benchmarks.drawn import DrawnBenchmark, DrawnOptions


@dataclass(frozen=True)
class TwoMoonsOptions(DrawnOptions):
    n: Annotated[int, Gt(1)] = 5000
    """real training samples, of each generation where they are fresh"""
    sigma: Annotated[float, Ge(0)] = 0.2
    """standard deviation of the noise around half circles of radius 1, before they are made three times as
    large"""


@register_benchmark("two-moons")
class TwoMoons(DrawnBenchmark):
    """Two half moons in the plane as a self-consuming loop."""

    source = "make_moons of scikit-learn, by a fixed seed"
    generator = "flow"
    Options = TwoMoonsOptions

    def draw(self, n: int) -> Tensor:
        from sklearn.datasets import make_moons

        replicas = self.options.replicas
        seeds = torch.randint(2**31, (replicas,)).tolist()
        moons = [make_moons(n, noise=self.options.sigma, random_state=seed)[0] for seed in seeds]
        return torch.stack([torch.from_numpy(moon).float() for moon in moons], 1) * 3 - 1
