"""Vectors themselves."""

from __future__ import annotations

from torch import Tensor

from cl_bench import register_extractor
from cl_bench.extractor import Extractor


@register_extractor("identity")
class Identity(Extractor):
    """The vectors themselves, flattened, in their own units."""

    title = "the data themselves"
    modalities = ("vector",)
    scaled = False
    kept = False

    def raw(self, x: Tensor) -> Tensor:
        return x.flatten(1).float().cpu()
