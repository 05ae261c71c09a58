"""The unit that networks see data in: images as [−1, 1], vectors centred and scaled.

  vectors: (x − mean) · std / rms deviation,  mean and deviation of the first data that were fitted

One factor for all coordinates, so that straight lines and distances stay what they are. Later data, copies of
copies that drift and shrink, keep the unit of the first: weights that training goes on from mean the same as
before.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from cl_bench.errors import UserError
from cl_bench.samples import Samples, to_uint8
from cl_bench.state import State
from cl_bench.stream import StreamSpec


class Unit(ABC):
    """shape: of a sample as networks see it; a vector of d values is an image of one pixel, (d, 1, 1), so
    that one training and the same equations serve both."""

    shape: tuple[int, ...]

    @abstractmethod
    def prepared(self, data: Samples) -> Samples:
        """Training data such that `samples.scaled` gives them as networks see them."""

    @abstractmethod
    def decoded(self, x: Tensor) -> Tensor:
        """What networks made, (n, …), as data of the stream: (n, *spec.shape) on the CPU."""

    @abstractmethod
    def bounded(self, x: Tensor) -> Tensor:
        """x moved into the range of the data, where they have one."""

    @abstractmethod
    def read(self, x: Tensor) -> Tensor:
        """What networks made as classifiers read it: (n, *spec.shape), images in [−1, 1], vectors as they
        are."""

    def state_dict(self) -> State:
        return {}

    def load_state_dict(self, state: State) -> None:  # noqa: B027
        """Take over what `state_dict` gave."""


class ImageUnit(Unit):
    def __init__(self, spec: StreamSpec) -> None:
        self.shape = spec.shape

    def prepared(self, data: Samples) -> Samples:
        return data

    def decoded(self, x: Tensor) -> Tensor:
        return to_uint8(x).reshape(-1, *self.shape).cpu()

    def bounded(self, x: Tensor) -> Tensor:
        return x.clamp(-1, 1)

    def read(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)


class VectorUnit(Unit):
    """std: rms deviation of the first data in this unit."""

    def __init__(self, spec: StreamSpec, std: float = 1.0) -> None:
        self.stored, self.std = spec.shape, std
        self.shape = (math.prod(spec.shape), 1, 1)
        self.mean = torch.zeros(self.shape[0])
        self.scale = torch.zeros(())  # 0: nothing was fitted yet

    def prepared(self, data: Samples) -> Samples:
        x = data.x.flatten(1).float()
        if not self.scale:
            self.mean = x.mean(0).cpu()
            deviation = (x - x.mean(0)).square().mean().sqrt().cpu()
            self.scale = (deviation / self.std).clamp(min=1e-12)
        return replace(data, x=self._from(x).view(-1, *self.shape))

    def decoded(self, x: Tensor) -> Tensor:
        return self.read(x.float().cpu())

    def bounded(self, x: Tensor) -> Tensor:
        return x

    def read(self, x: Tensor) -> Tensor:
        return (x.flatten(1) * self.scale.to(x.device) + self.mean.to(x.device)).view(-1, *self.stored)

    def _from(self, x: Tensor) -> Tensor:
        return (x - self.mean.to(x.device)) / self.scale.to(x.device)

    def state_dict(self) -> State:
        return {"mean": self.mean, "scale": self.scale}

    def load_state_dict(self, state: State) -> None:
        self.mean, self.scale = state["mean"].clone(), state["scale"].clone()


def unit_of(spec: StreamSpec, generator: str, std: float = 1.0) -> Unit:
    """std: see `VectorUnit`. Raises UserError, in the name of `generator`, for text."""
    if spec.modality == "image":
        return ImageUnit(spec)
    if spec.modality == "vector":
        return VectorUnit(spec, std)
    raise UserError(f"generator {generator!r} makes images or vectors, not {spec.modality} data")
