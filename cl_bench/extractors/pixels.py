"""The data themselves."""

from __future__ import annotations

from torch import Tensor

from cl_bench import register_extractor
from cl_bench.extractor import Extractor
from cl_bench.samples import scaled


@register_extractor("pixels")
class Pixels(Extractor):
    """The values themselves, flattened, images as [−1, 1]."""

    title = "values"
    kept = False

    def raw(self, x: Tensor) -> Tensor:
        return scaled(x).flatten(1).float().cpu()
