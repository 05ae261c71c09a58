"""Images themselves."""

from __future__ import annotations

from torch import Tensor

from cl_bench import register_extractor
from cl_bench.extractor import Extractor
from cl_bench.samples import scaled


@register_extractor("pixels")
class Pixels(Extractor):
    """The pixels themselves, in [−1, 1], flattened."""

    title = "pixel values"
    modalities = ("image",)
    kept = False

    def raw(self, x: Tensor) -> Tensor:
        return scaled(x).flatten(1).cpu()
