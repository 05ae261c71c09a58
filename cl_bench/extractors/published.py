"""What the extractors with published weights share: images as they want them, and where the weights lie."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cl_bench.errors import UserError
from cl_bench.extractor import Extractor
from cl_bench.parametrised import Parametrised
from cl_bench.state import checksum

BATCH = 64


class Published(Extractor, Parametrised):
    """Features of a network that others trained, in their own unit; NAME:FILE for weights elsewhere than in
    torch hub's cache. Weights are never downloaded. net: the network."""

    net: torch.nn.Module

    modalities = ("image",)
    scaled = False
    takes = "FILE"
    needs_argument = False

    @classmethod
    def parametrised(cls, argument: str) -> type[Any]:
        return super().parametrised(str(Path(argument).expanduser().absolute()))

    @classmethod
    @abstractmethod
    def url(cls) -> str:
        """Where the weights are published."""

    def weights(self) -> Path:
        """The file of the weights. Raises UserError, with what to do, when it is not there."""
        name = self.url().rpartition("/")[2]
        path = Path(self.argument) if self.argument else Path(torch.hub.get_dir()) / "checkpoints" / name
        if not path.is_file():
            kind = self.name.partition(":")[0]
            raise UserError(f"extractor {kind}: no {path}; get it from {self.url()}, or say {kind}:FILE")
        return path

    def tensors(self) -> dict[str, Tensor]:
        """What the file holds. Raises UserError for anything but tensors by name."""
        path = self.weights()
        try:
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{path} holds no weights: {reason}") from None
        if not isinstance(state, dict):
            raise UserError(f"{path} holds no weights, but {type(state).__name__}")
        return state

    def hash(self) -> str:
        """SHA-256 (hex) of the network's weights, wherever they lie."""
        return checksum(self.net.state_dict())

    @abstractmethod
    def of_batch(self, x: Tensor) -> Tensor:
        """Features of uint8 RGB images (n, 3, H, W) on the device: (n, d)."""

    @torch.no_grad()
    def raw(self, x: Tensor) -> Tensor:
        if x.shape[1] not in (1, 3):
            raise UserError(f"extractor {self.name!r} takes grey or RGB images, not {x.shape[1]} channels")
        parts = (part.to(self.device).expand(-1, 3, -1, -1) for part in x.split(BATCH))
        return torch.cat([self.of_batch(part).float().cpu() for part in parts])


def fill(net: torch.nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Give `net` its weights. Raises UserError where they are another network's."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{path} holds another network's weights: {str(error).splitlines()[0]}") from None
