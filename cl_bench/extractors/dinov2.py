"""Features of DINOv2, trained without labels: those of FD-DINOv2.

M. Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision", 2023 (arXiv 2304.07193); as a
judge of generators: G. Stein et al., "Exposing flaws of generative model evaluation metrics", NeurIPS 2023
(2306.04675): the class token of ViT-L/14 at 224×224, bicubic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cl_bench import register_extractor
from cl_bench.errors import UserError
from cl_bench.extractor import Extractor
from cl_bench.extractors.published import Published
from cl_bench.stream import StreamSpec
from cl_bench.torchvision_networks import DEVIATION, MEAN

SIDE = 224
MODEL = "facebook/dinov2-large"


@register_extractor("dinov2")
class DINOv2(Published):
    """DINOv2's class token; dinov2:FOLDER for a model in Hugging Face's format. Needs cl-bench[dinov2]."""

    title = "DINOv2 class token"
    takes = "FOLDER"

    @classmethod
    def url(cls) -> str:
        return f"https://huggingface.co/{MODEL}"

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        Extractor.__init__(self, spec, device)
        try:
            from transformers import Dinov2Model
        except ImportError:
            raise UserError(
                "extractor dinov2: transformers is missing; pip install 'cl-bench[dinov2]'"
            ) from None
        if self.argument and not (Path(self.argument) / "config.json").is_file():
            raise UserError(f"extractor dinov2: no config.json in {self.argument}; get one from {self.url()}")
        try:
            net: Any = Dinov2Model.from_pretrained(self.argument or MODEL, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"extractor dinov2: {reason} (`hf download {MODEL}`, or say dinov2:FOLDER)"
            ) from None
        self.net = net.to(device).eval().requires_grad_(False)

    def of_batch(self, x: Tensor) -> Tensor:
        size = (SIDE, SIDE)
        x = functional.interpolate(x.float(), size, mode="bicubic", antialias=True, align_corners=False)
        mean, deviation = (torch.tensor(v, device=x.device).view(3, 1, 1) for v in (MEAN, DEVIATION))
        out = self.net((x.clamp(0, 255) / 255 - mean) / deviation)
        return out.last_hidden_state[:, 0]
