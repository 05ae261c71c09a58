"""Digits: scikit-learn's copy of the UCI optical-recognition digits.

Data: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998; 1,797 real
handwritten digits of 8×8 pixels and 17 grey levels, shipped inside scikit-learn (CC BY 4.0).
scikit-learn ships the UCI test part only and defines no split; ours is 80/20, stratified, fixed.
"""

from __future__ import annotations

import torch

from cl_bench import register_benchmark
from cl_bench.benchmark import Benchmark, StationaryBenchmark
from cl_bench.samples import Samples
from cl_bench.stream import RealData, held_out


class Digits(Benchmark):
    """The data of both benchmarks below."""

    source = "scikit-learn load_digits: UCI Optical Recognition of Handwritten Digits, CC BY 4.0"
    transforms = "17 grey levels scaled to 0…255"
    generator = "mlp-diffusion"

    def load(self) -> RealData:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        # 17 grey levels to 8 bits: rounding keeps all 17 apart, so nothing is lost.
        x = torch.from_numpy(bunch.images * (255 / 16)).round().to(torch.uint8).unsqueeze(1)
        y = torch.from_numpy(bunch.target).long()
        names = tuple(str(c) for c in range(10))
        return RealData("image", names, *held_out(Samples.real(x, y), 0.2, "splitdigits test"))


@register_benchmark("splitdigits")
class SplitDigits(Digits):
    """1,797 real handwritten digits (8×8, scikit-learn), 5 tasks × 2 classes."""


@register_benchmark("digits")
class StationaryDigits(StationaryBenchmark, Digits):
    """1,797 real handwritten digits (8×8, scikit-learn) as a self-consuming loop."""
