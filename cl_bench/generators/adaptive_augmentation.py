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

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, C, H, W) in [−1, 1] to the same, each transformed in its own way."""
        return x if self.fixed == 0 else augmented(x, self.p)

    @torch.no_grad()
    def adapt(self, step: int, real: Tensor) -> None:
        """After training step `step`, from 0, where D gave `real` (n,) for real images."""
        if self.fixed is not None:
            return
        if step % EVERY == 0:
            self.signs.zero_()
        self.signs += real.float().sign().mean() / EVERY
        if step % EVERY == EVERY - 1:
            self.p += (self.signs - self.target).sign() * (EVERY * len(real) / IMAGES)
            self.p.clamp_(0, MOST)


def augmented(x: Tensor, p: Tensor | float) -> Tensor:
    """x (n, C, H, W), each transform applied to each image with probability p; differentiable in x. Draws
    from torch's global generator of x's device."""
    return _cut_out(_recoloured(_moved(x, p), p), p)


def _chosen(x: Tensor, p: Tensor | float) -> Tensor:
    """(n, 1) bool: the images that a transform is applied to."""
    return torch.rand(len(x), 1, device=x.device) < p


def _moved(x: Tensor, p: Tensor | float) -> Tensor:
    """Flip and translation, by one gather."""
    n, channels, height, width = x.shape
    flip = _chosen(x, p) & (torch.rand(n, 1, device=x.device) < 0.5)
    shift = _chosen(x, p)
    rows = _source(height, shift, x.device)
    columns = _source(width, shift, x.device)
    columns = torch.where(flip, width - 1 - columns, columns)
    source = (rows * width)[:, :, None] + columns[:, None, :]
    source = source.view(n, 1, -1).expand(n, channels, -1)
    return x.reshape(n, channels, -1).gather(2, source).view_as(x)


def _source(size: int, shift: Tensor, device: torch.device) -> Tensor:
    """(n, size): where each pixel along a side comes from; reflected at the ends."""
    most = size // 8
    by = torch.randint(-most, most + 1, shift.shape, device=device) * shift
    place = (torch.arange(size, device=device) + by).abs()
    return (size - 1) - (size - 1 - place).abs()


def _recoloured(x: Tensor, p: Tensor | float) -> Tensor:
    """Brightness, contrast, saturation."""

    def normal(deviation: float) -> Tensor:
        strength = torch.randn(len(x), 1, device=x.device) * deviation * _chosen(x, p)
        return strength.view(-1, 1, 1, 1)

    x = (x + normal(BRIGHTNESS)) * normal(CONTRAST).exp2()
    if x.shape[1] == 3:
        factor = normal(SATURATION).exp2()
        # This form, unlike grey + (x − grey) · factor, gives x itself at factor 1.
        x = x * factor + x.mean(1, keepdim=True) * (1 - factor)
    return x


def _cut_out(x: Tensor, p: Tensor | float) -> Tensor:
    inside = []
    for size in x.shape[2:]:
        centre = torch.rand(len(x), 1, device=x.device) * size
        place = torch.arange(size, device=x.device) + 0.5
        inside.append((place - centre).abs() < size / 4)
    rows, columns = inside
    keep = ~((rows & _chosen(x, p))[:, None, :, None] & columns[:, None, None, :])
    return x * keep
