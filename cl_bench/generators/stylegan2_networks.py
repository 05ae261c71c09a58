"""The networks of StyleGAN2: mapping, skip generator of modulated convolutions, residual discriminator.

Papers: T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen, T. Aila, "Analyzing and Improving the Image
Quality of StyleGAN", 2020 (arXiv 1912.04958): modulated convolution (§2.2, eq. 1 and 3), skip generator and
residual discriminator (§4.1, figure 7), noise inputs (figure 2). T. Karras et al., "Progressive Growing of
GANs", 2018 (1710.10196): weights scaled when used (§4.1), minibatch standard deviation (§3). T. Miyato, M.
Koyama, "cGANs with Projection Discriminator", 2018 (1802.05637), eq. 3.

Deviations:
- Networks start from 4 to 8 pixels at the longer side and double from there, so that 28 pixels need no
  padding (7, 14, 28). Other sizes are rounded up: the generator crops, the discriminator pads with zeros.
- Modulated convolutions scale their inputs and outputs instead of their weights, which is the same function
  (a test compares it to the paper's form, one group of a convolution per image) and up to nine times as fast
  on a CPU.
- Images are enlarged by bilinear interpolation, then convolved. This is the paper's transposed convolution
  followed by its filter [1 3 3 1], but for the border, which is repeated instead of set to zero.
- One latent w drives all layers: there is no style mixing, which 2006.06676 leaves out for CIFAR-10 too.
- The discriminator's labels are embedded directly, without a mapping network of their own.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALL = 1e-8
GROUP = 4  # images whose standard deviation the discriminator sees


def layout(shape: tuple[int, ...], width: int) -> tuple[tuple[int, int], list[int]]:
    """Where networks for images of `shape` (C, H, W) start, (h, w), and the channels at each
    size from there to the image's, doubling towards the start up to 8 · width."""
    _, height, across = shape
    halvings = max(math.floor(math.log2(max(height, across) / 4)), 1)
    start = (math.ceil(height / 2**halvings), math.ceil(across / 2**halvings))
    return start, [width * min(2**k, 8) for k in reversed(range(halvings + 1))]


def activated(x: Tensor) -> Tensor:
    """Leaky ReLU that keeps the variance."""
    return functional.leaky_relu(x, 0.2) * math.sqrt(2)


def normalised(x: Tensor) -> Tensor:
    """Rows of x (n, d) with mean square 1."""
    return x * (x.square().mean(1, keepdim=True) + SMALL).rsqrt()


def enlarged(x: Tensor) -> Tensor:
    """(n, c, h, w) to (n, c, 2h, 2w)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def filtered(x: Tensor, padding: int, stride: int) -> Tensor:
    """x (n, c, h, w) through the filter [1 3 3 1] along both sides; padded by zeros."""
    channels = x.shape[1]
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], device=x.device, dtype=x.dtype) / 8
    kernel = (taps[:, None] * taps).expand(channels, 1, 4, 4)
    return functional.conv2d(x, kernel, padding=padding, stride=stride, groups=channels)


class Linear(nn.Module):
    """A linear layer whose weights have unit variance and are scaled when used. rate: factor on the learning
    rate, undone in the initial output."""

    def __init__(self, inward: int, outward: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outward, inward) / rate)
        self.bias = nn.Parameter(torch.full((outward,), bias / rate))
        self.rate, self.scale = rate, rate / math.sqrt(inward)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.scale, self.bias * self.rate)


class Conv(nn.Module):
    """A convolution whose weights have unit variance and are scaled when used; `halve`: filtered and at
    stride 2."""

    def __init__(
        self, inward: int, outward: int, kernel: int, halve: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outward, inward, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outward)) if bias else None
        self.kernel, self.halve, self.scale = kernel, halve, 1 / math.sqrt(inward * kernel**2)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.scale
        if not self.halve:
            return functional.conv2d(x, weight, self.bias, padding=self.kernel // 2)
        if self.kernel == 1:
            return functional.conv2d(filtered(x, 1, 2), weight, self.bias)
        return functional.conv2d(filtered(x, 2, 1), weight, self.bias, stride=2)


class ModulatedConv(nn.Module):
    """f(x, w): a convolution of x (n, c, h, w) whose weights are scaled per image by a style from the latent
    w (n, latent), then to unit norm per output channel (eq. 1 and 3).

    Scaling what goes in by the style and what comes out by the norm is the same, and spares each image its
    own weights.
    """

    def __init__(self, inward: int, outward: int, kernel: int, latent: int, demodulate: bool = True) -> None:
        super().__init__()
        self.style = Linear(latent, inward, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outward, inward, kernel, kernel))
        self.scale, self.demodulate = 1 / math.sqrt(inward * kernel**2), demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w).float(), self.weight * self.scale
        padding = weight.shape[-1] // 2
        out = functional.conv2d(x * style[:, :, None, None], weight, padding=padding)
        if self.demodulate:
            squares = style.square() @ weight.square().sum((2, 3)).T
            out = out * (squares + SMALL).rsqrt()[:, :, None, None]
        return out


class StyledConv(nn.Module):
    """f(x, w, noise): modulated convolution, noise (n, 1, h, w) times a learned strength, activation."""

    def __init__(self, inward: int, outward: int, latent: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inward, outward, 3, latent)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outward, 1, 1))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        return activated(self.conv(x, w) + self.strength * noise + self.bias)


class ToImage(nn.Module):
    """f(x, w): features to image channels; modulated, not demodulated."""

    def __init__(self, inward: int, channels: int, latent: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(inward, channels, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.conv(x, w) + self.bias


class Mapping(nn.Module):
    """f(z, y): noise (n, latent) and labels (n,) to w (n, latent)."""

    def __init__(self, num_classes: int, latent: int, layers: int, rate: float) -> None:
        super().__init__()
        self.label = nn.Embedding(num_classes, latent)
        sizes = [2 * latent, *[latent] * layers]
        self.layers = nn.ModuleList(Linear(a, b, rate=rate) for a, b in itertools.pairwise(sizes))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        w = torch.cat([normalised(z), normalised(self.label(y))], 1)
        for layer in self.layers:
            w = activated(layer(w))
        return w


class Synthesis(nn.Module):
    """f(w, *noises): latents (n, latent) and a noise (n, *shape) for each of `noise_shapes` to images
    (n, C, H, W), about [−1, 1]: the sum of the images of all sizes, enlarged."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        self.shape = shape
        (height, across), sizes = layout(shape, width)
        self.constant = nn.Parameter(torch.randn(1, sizes[0], height, across))
        self.first = StyledConv(sizes[0], sizes[0], latent)
        self.enlarging = nn.ModuleList(StyledConv(a, b, latent) for a, b in itertools.pairwise(sizes))
        self.refining = nn.ModuleList(StyledConv(b, b, latent) for b in sizes[1:])
        self.image = nn.ModuleList(ToImage(c, shape[0], latent) for c in sizes)
        self.noise_shapes = [(1, height, across)]
        for k in range(1, len(sizes)):
            self.noise_shapes += [(1, height * 2**k, across * 2**k)] * 2

    def forward(self, w: Tensor, *noises: Tensor) -> Tensor:
        noise = iter(noises)
        x = self.first(self.constant.expand(len(w), -1, -1, -1), w, next(noise))
        image = self.image[0](x, w)
        blocks = zip(self.enlarging, self.refining, self.image[1:], strict=True)
        for enlarging, refining, to_image in blocks:
            x = refining(enlarging(enlarged(x), w, next(noise)), w, next(noise))
            image = enlarged(image) + to_image(x, w)
        return image[:, :, : self.shape[1], : self.shape[2]]


class GeneratorNetwork(nn.Module):
    """f(y, z, *noises): mapping and synthesis."""

    def __init__(
        self, shape: tuple[int, ...], num_classes: int, latent: int, layers: int, rate: float, width: int
    ) -> None:
        super().__init__()
        self.mapping = Mapping(num_classes, latent, layers, rate)
        self.synthesis = Synthesis(shape, latent, width)
        self.latent = latent

    def forward(self, y: Tensor, z: Tensor, *noises: Tensor) -> Tensor:
        return self.synthesis(self.mapping(z, y), *noises)

    def draw(self, n: int, device: torch.device) -> list[Tensor]:
        """z and noise inputs of n images, from torch's global generator."""
        shapes = [(self.latent,), *self.synthesis.noise_shapes]
        return [torch.randn(n, *shape, device=device) for shape in shapes]


class ResidualBlock(nn.Module):
    """(n, inward, 2h, 2w) to (n, outward, h, w)."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.first = Conv(inward, inward, 3)
        self.second = Conv(inward, outward, 3, halve=True)
        self.skip = Conv(inward, outward, 1, halve=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = activated(self.second(activated(self.first(x))))
        return (out + self.skip(x)) / math.sqrt(2)


def group_deviation(x: Tensor) -> Tensor:
    """(n, c, h, w) to (n, 1, 1, 1): the standard deviation over groups of images, averaged over all
    features. Groups are GROUP neighbours, fewer where n is no multiple of it, so that they stay together when
    a batch is parted."""
    n = len(x)
    size = max(k for k in range(1, GROUP + 1) if n % k == 0)
    groups = x.float().reshape(n // size, size, -1)
    deviation = (groups.var(1, correction=0) + SMALL).sqrt().mean(1)
    return deviation.repeat_interleave(size).view(n, 1, 1, 1)


class Discriminator(nn.Module):
    """f(x, y): images (n, C, H, W) in [−1, 1] and labels (n,) to logits (n,) of being real."""

    def __init__(self, shape: tuple[int, ...], num_classes: int, width: int) -> None:
        super().__init__()
        (height, across), sizes = layout(shape, width)
        scale = 2 ** (len(sizes) - 1)
        self.padding = (0, across * scale - shape[2], 0, height * scale - shape[1])
        sizes = sizes[::-1]
        self.inward = Conv(shape[0], sizes[0], 1)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in itertools.pairwise(sizes))
        features = sizes[-1]
        self.last = Conv(features + 1, features, 3)
        self.hidden = Linear(features * height * across, features)
        self.real = Linear(features, 1)
        self.label = nn.Embedding(num_classes, features)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = activated(self.inward(functional.pad(x, self.padding)))
        for block in self.blocks:
            x = block(x)
        deviation = group_deviation(x).expand(-1, 1, *x.shape[2:])
        x = activated(self.last(torch.cat([x, deviation.to(x.dtype)], 1)))
        x = activated(self.hidden(x.flatten(1)))
        projection = (self.label(y) * x).sum(1) / math.sqrt(x.shape[1])
        return self.real(x).squeeze(1) + projection
