"""A class-conditional variational autoencoder: convolutional for images, a perceptron for vectors.

Papers: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014 (arXiv 1312.6114); O. Rybkin, K.
Daniilidis, S. Levine, "Simple and Effective VAE Training with Calibrated Decoders", 2021 (2006.13202): the
decoder's variance is the maximum-likelihood one, which spares the weight β between the two terms.

  loss = (d/2) ln MSE(x, decoder(z, y)) + KL(q(z | x, y) ‖ N(0, I)),  d: values per image,  z ~ q(z | x, y)
  sampling: decoder(z, y), z ~ N(0, I)

The decoder's variance is fitted to the rows at hand, so the loss is no mean over rows: parted among processes
or for want of memory, each part has its own.

Vectors: sampling adds the decoder's noise, whose variance is the MSE over the training set after the last
step.

Deviations: samples of images are the decoder's means, without its pixel noise, as is usual; the loss is
divided by d.
"""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn

from cl_bench import register_generator
from cl_bench.costs import evaluated
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.generators.unit import unit_of
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.sampling import BatchedSampling
from cl_bench.seeds import noise
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import Compiled, TrainingOptions, train

SAMPLING_BATCH = 1024


@dataclass(frozen=True)
class VAEOptions(TrainingOptions):
    latent: Annotated[int, Gt(0)] = 64
    """dimensions of z"""
    width: Annotated[int, Gt(0)] = 32
    """channels of the first convolution; each later one has twice as many, up to eight times; for vectors an
    eighth of the units per layer"""


@register_generator("vae")
class VAE(Generator):
    """Conditional VAE of images (convolutional) or vectors with a calibrated decoder."""

    paper = "Kingma and Welling 2014, arXiv 1312.6114; Rybkin et al. 2021, arXiv 2006.13202"
    Options = VAEOptions

    def __init__(
        self, spec: StreamSpec, options: VAEOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        self.unit = unit_of(spec, "vae")
        images = spec.modality == "image"
        if not images and options.grid_every:
            raise UserError("generator 'vae': grid_every has no effect on vectors")
        kind = Autoencoder if images else VectorAutoencoder
        self.net: Autoencoder = kind(spec, options.latent, options.width).to(device)
        self.averaged = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.forward = Compiled(self.net, options, device, progress)
        self.batched = BatchedSampling(self.unit.shape, SAMPLING_BATCH, device, progress, self.unit.decoded)
        # Standard deviation of the decoder's noise, for vectors only.
        self.noise = None if images else torch.zeros(())

    def draw(self, x: Tensor, y: Tensor) -> tuple[Tensor]:
        """What makes z from its distribution: (n, latent)."""
        return (torch.randn(len(y), self.options.latent, device=x.device),)

    def loss(self, x: Tensor, y: Tensor, epsilon: Tensor) -> Tensor:
        """Negative evidence lower bound per value, up to a constant, of images (n, C, H, W) in [−1, 1]."""
        out, mean, log_variance = self.forward(x, y, epsilon)
        values = math.prod(self.spec.shape)
        error = (out.float() - x).square().mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).float().sum(1).mean() / 2
        return error.log() / 2 + divergence / values

    def fit(self, data: Samples) -> None:
        data = self.unit.prepared(data)
        train(
            self.net,
            self.averaged,
            self.draw,
            self.loss,
            data,
            self.spec.augmentation,
            self.options,
            self.device,
            self.progress,
            "generator vae",
            self.sample,
        )
        if self.noise is not None:
            self.noise = self._decoder_noise(data)

    @torch.no_grad()
    def _decoder_noise(self, data: Samples) -> Tensor:
        """√MSE of the averaged weights' reconstructions, each from one z."""
        x, y = scaled(data.x).to(self.device), data.y.to(self.device)
        squared = [
            (self.averaged(part, labels, *self.draw(part, labels))[0] - part).square().flatten()
            for part, labels in zip(x.split(SAMPLING_BATCH), y.split(SAMPLING_BATCH), strict=True)
        ]
        return torch.cat(squared).mean().sqrt().cpu()

    @torch.no_grad()
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        return self.batched(labels, self._decoded)

    def _decoded(self, generators: list[torch.Generator], y: Tensor) -> Tensor:
        evaluated(len(y))
        x = self.averaged.decode(noise(generators, (self.options.latent,), self.device), y)
        if self.noise is None:
            return x
        return x + self.noise.to(x.device) * noise(generators, self.unit.shape, self.device)

    def state_dict(self) -> State:
        state = prefixed("net", self.net.state_dict()) | prefixed("averaged", self.averaged.state_dict())
        if self.noise is not None:
            state["noise"] = self.noise
        return state | prefixed("unit", self.unit.state_dict())

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(under("net", state))
        self.averaged.load_state_dict(under("averaged", state))
        self.unit.load_state_dict(under("unit", state))
        if self.noise is not None:
            self.noise = state["noise"].clone()


class Autoencoder(nn.Module):
    """Encoder and decoder, both given the label; images are halved down to at most 4 pixels."""

    def __init__(self, spec: StreamSpec, latent: int, width: int) -> None:
        super().__init__()
        channels, self.height, self.width = spec.shape
        halvings = max(math.ceil(math.log2(max(self.height, self.width) / 4)), 1)
        sizes = [channels, *(width * min(2**k, 8) for k in range(halvings))]
        scale = 2**halvings
        self.small = (sizes[-1], math.ceil(self.height / scale), math.ceil(self.width / scale))
        flat = math.prod(self.small)
        down, up = [], []
        for inward, outward in itertools.pairwise(sizes):
            down += [nn.Conv2d(inward, outward, 4, 2, 1), nn.GroupNorm(8, outward), nn.SiLU()]
        for inward, outward in itertools.pairwise(reversed(sizes[1:])):
            up += [nn.ConvTranspose2d(inward, outward, 4, 2, 1), nn.GroupNorm(8, outward), nn.SiLU()]
        up.append(nn.ConvTranspose2d(sizes[1], channels, 4, 2, 1))
        self.padding = (0, self.small[2] * scale - self.width, 0, self.small[1] * scale - self.height)
        self.down, self.up = nn.Sequential(*down, nn.Flatten()), nn.Sequential(*up)
        self.label = nn.Embedding(spec.num_classes, latent)
        self.encode: nn.Module = nn.Linear(flat + latent, 2 * latent)
        self.widen: nn.Module = nn.Linear(2 * latent, flat)

    def forward(self, x: Tensor, y: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction (n, C, H, W) of z = mean + std · epsilon, and mean and log variance (n, latent) of
        q(z | x, y)."""
        hidden = self.down(nn.functional.pad(x, self.padding))
        mean, log_variance = self.encode(torch.cat([hidden, self.label(y)], 1)).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * epsilon
        return self.decode(z, y), mean, log_variance

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """(n, latent) and labels (n,) to images (n, C, H, W), about [−1, 1]."""
        hidden = self.widen(torch.cat([z, self.label(y)], 1)).view(-1, *self.small)
        return self.up(nn.functional.silu(hidden))[:, :, : self.height, : self.width]


class VectorAutoencoder(Autoencoder):
    """The same for points (n, d, 1, 1): encoder and decoder have two hidden layers each."""

    def __init__(self, spec: StreamSpec, latent: int, width: int) -> None:
        nn.Module.__init__(self)
        size, units = math.prod(spec.shape), 8 * width
        self.points = (size, 1, 1)
        self.label = nn.Embedding(spec.num_classes, latent)
        self.encode = _perceptron(size + latent, units, 2 * latent)
        self.widen = _perceptron(2 * latent, units, size)

    def forward(self, x: Tensor, y: Tensor, epsilon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(torch.cat([x.flatten(1), self.label(y)], 1)).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * epsilon
        return self.decode(z, y), mean, log_variance

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        return self.widen(torch.cat([z, self.label(y)], 1)).view(-1, *self.points)


def _perceptron(inward: int, width: int, outward: int) -> nn.Sequential:
    hidden = (nn.Linear(inward, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
    return nn.Sequential(*hidden, nn.Linear(width, outward))
