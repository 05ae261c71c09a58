"""Inception-v3's pool3 features, those of FID.

M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", 2017 (FID). Network, resizing and weights
are torch-fidelity's port of the TensorFlow graph of 2015-12-05.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from cl_bench import register_extractor
from cl_bench.errors import UserError
from cl_bench.extractors.published import Published
from cl_bench.stream import StreamSpec


@register_extractor("inception")
class Inception(Published):
    """Inception-v3 pool3, 2,048 features: the Fréchet distance in them is FID. Needs cl-bench[inception]."""

    title = "Inception-v3 pool3"
    known_as: ClassVar[dict[str, str]] = {"fd": "fid"}

    @classmethod
    def url(cls) -> str:
        release = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
        return f"{release}/weights-inception-2015-12-05-6726825d.pth"

    def __init__(self, spec: StreamSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise UserError(
                "extractor inception: torch-fidelity is missing; pip install 'cl-bench[inception]'"
            ) from None
        # torch-fidelity unpickles whatever the file holds; here it was found to hold tensors alone.
        self.tensors()
        path = self.weights()
        try:
            net: Any = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
        except RuntimeError as error:
            raise UserError(f"{path} holds another network's weights: {str(error).splitlines()[0]}") from None
        self.net = net.to(device)

    def of_batch(self, x: Tensor) -> Tensor:
        (features,) = self.net(x)
        return features
