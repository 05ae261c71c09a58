"""Adaptive discriminator augmentation: a GAN's discriminator sees all images through random transforms, as
often as it overfits.

Paper: T. Karras, M. Aittala, J. Hellsten, S. Laine, J. Lehtinen, T. Aila, "Training Generative Adversarial
Networks with Limited Data", 2020 (arXiv 2006.06676), §2.2 (transforms applied with probability p < 0.8 do not
leak into the samples), §3.1 (control of p), appendix B (the transforms and their strengths).

  r_t = E[sign(D(real))] over four minibatches (eq. 1)
  p ← p + sign(r_t − target) · images / 500,000, images: those shown in the four

Each transform is applied to each image with probability p, apart from the others, in this order:
  flip         mirrored with probability ½
  translation  whole pixels, up to an eighth of the side, the border reflected
  brightness   plus b, b ~ N(0, 0.2²)
  contrast     times 2^c, c ~ N(0, 0.5²)
  saturation   distance from the grey of equal mean times 2^s, s ~ N(0, 1); three channels only
  cutout       a rectangle of half the sides, anywhere, to zero (mid-grey)

Deviations: turns by 90°, scaling, rotation, luma flips, hue rotation, filters and noise are left out: they
teach little on small images, and turned digits are other digits. An adapting p stops at 0.8, beyond which
§2.2 finds that transforms leak.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

EVERY = 4  # steps from one change of p to the next
IMAGES = 500_000  # shown while p rises from 0 to 1
MOST = 0.8
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.5, 1.0


class AdaptiveAugmentation(nn.Module):
    """augment(images) → images, with probability `p`, which `adapt` moves unless `fixed` is given.

    fixed: p for good; 0 switches augmentation off. target: r_t to hold.
    """

    p: Tensor
    signs: Tensor

    def __init__(self, fixed: float | None = None, target: float = 0.6) -> None:
        super().__init__()
        self.fixed, self.target = fixed, target
        self.register_buffer("p", torch.tensor(fixed or 0.0))
        self.register_buffer("signs", torch.tensor(0.0))

    def draw(self, x: Tensor) -> Tensor:
        """What to do to the images x (n, C, H, W): (n, 8)."""
        if self.fixed == 0:
            return x.new_zeros(len(x), 8)
        return draw(len(x), x.shape[2], x.shape[3], self.p, x.device)

    def forward(self, x: Tensor, how: Tensor) -> Tensor:
        """Images (n, C, H, W) in [−1, 1] to the same, each transformed in its own way, as `draw` says."""
        return x if self.fixed == 0 else transformed(x, how)

    def adapt(self, step: int, sign: float, n: int) -> None:
        """After training step `step`, from 0. sign: mean sign of D on its n real images."""
        if self.fixed is not None:
            return
        if step % EVERY == 0:
            self.signs.zero_()
        self.signs += sign / EVERY
        if step % EVERY == EVERY - 1:
            self.p += (self.signs - self.target).sign() * (EVERY * n / IMAGES)
            self.p.clamp_(0, MOST)


def draw(n: int, height: int, width: int, p: Tensor | float, device: torch.device | None = None) -> Tensor:
    """A row per image, (n, 8) float: whether it is mirrored (0 or 1), pixels down and right, brightness b,
    contrast c, saturation s, and the cutout's centre, row and column in pixels, infinite for none."""

    def chosen() -> Tensor:
        return torch.rand(n, device=device) < p

    def shift(size: int) -> Tensor:
        return torch.randint(-(size // 8), size // 8 + 1, (n,), device=device)

    mirrored = chosen() & (torch.rand(n, device=device) < 0.5)
    moved, cut = chosen(), chosen()
    colours = [torch.randn(n, device=device) * s * chosen() for s in (BRIGHTNESS, CONTRAST, SATURATION)]
    centre = [torch.where(cut, torch.rand(n, device=device) * size, torch.inf) for size in (height, width)]
    return torch.stack([mirrored.float(), shift(height) * moved, shift(width) * moved, *colours, *centre], 1)


def transformed(x: Tensor, how: Tensor) -> Tensor:
    """x (n, C, H, W), each image as its row of `how` (n, 8) says; differentiable in x."""
    mirrored, down, right, brightness, contrast, saturation, row, column = how.unbind(1)
    x = _moved(x, mirrored > 0, down.long(), right.long())
    x = _recoloured(x, brightness, contrast, saturation)
    return _cut_out(x, row, column)


def _moved(x: Tensor, mirrored: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Flip and translation, by one gather."""
    n, channels, height, width = x.shape
    rows, columns = _source(height, down), _source(width, right)
    columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    source = (rows * width)[:, :, None] + columns[:, None, :]
    source = source.view(n, 1, -1).expand(n, channels, -1)
    return x.reshape(n, channels, -1).gather(2, source).view_as(x)


def _source(size: int, by: Tensor) -> Tensor:
    """(n, size): where each pixel along a side comes from, reflected at the ends. by: (n,)."""
    place = (torch.arange(size, device=by.device) + by[:, None]).abs()
    return (size - 1) - (size - 1 - place).abs()


def _recoloured(x: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    x = (x + brightness.view(-1, 1, 1, 1)) * contrast.view(-1, 1, 1, 1).exp2()
    if x.shape[1] == 3:
        factor = saturation.view(-1, 1, 1, 1).exp2()
        # This form, unlike grey + (x − grey) · factor, gives x itself at factor 1.
        x = x * factor + x.mean(1, keepdim=True) * (1 - factor)
    return x


def _cut_out(x: Tensor, row: Tensor, column: Tensor) -> Tensor:
    rows, columns = (
        (torch.arange(size, device=x.device) + 0.5 - centre[:, None]).abs() < size / 4
        for size, centre in zip(x.shape[2:], (row, column), strict=True)
    )
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])
