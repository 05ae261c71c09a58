"""Adaptive augmentation: transforms act on each image apart, p follows the discriminator."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl_bench.generators.adaptive_augmentation import MOST, AdaptiveAugmentation, draw, transformed
from cl_bench.seeds import isolated


def images(n: int = 16, channels: int = 3, height: int = 16, width: int = 24) -> Tensor:
    with isolated(0, "images"):
        return torch.rand(n, channels, height, width) * 2 - 1


MOVED, RECOLOURED, CUT_OUT = slice(0, 3), slice(3, 6), slice(6, 8)
NOTHING = torch.tensor([0, 0, 0, 0, 0, 0, torch.inf, torch.inf])


def augmented(x: Tensor, p: Tensor | float) -> Tensor:
    return transformed(x, draw(len(x), x.shape[2], x.shape[3], p))


def always(columns: slice, x: Tensor, seed: int = 0) -> Tensor:
    """x through some transforms only, applied to all images."""
    how = NOTHING.repeat(len(x), 1)
    with isolated(seed, "transform"):
        how[:, columns] = draw(len(x), x.shape[2], x.shape[3], 1.0)[:, columns]
    return transformed(x, how)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_at_probability_zero_nothing_changes(channels: int) -> None:
    x = images(channels=channels)
    assert torch.equal(augmented(x, 0.0), x)
    assert torch.equal(augmented(x, torch.tensor(0.0)), x)


@pytest.mark.parametrize("channels", [1, 3])
def test_shape_stays_and_images_change_apart(channels: int) -> None:
    x = images(1, channels).expand(16, -1, -1, -1)
    with isolated(0, "augment"):
        out = augmented(x, 1.0)
    assert out.shape == x.shape
    assert len(out.flatten(1).unique(dim=0)) == 16


def test_probability_is_the_share_of_images() -> None:
    x = torch.full((4000, 1, 8, 8), 0.5)
    with isolated(0, "augment"):
        changed = (augmented(x, 0.1) != x).flatten(1).any(1).float().mean().item()
    # Constant images show brightness, contrast and cutout, each on a tenth; few cutouts miss every pixel.
    assert changed == pytest.approx(1 - 0.9**3, abs=0.03)


def test_gradients_stay_with_their_image() -> None:
    x = images().requires_grad_()
    with isolated(0, "augment"):
        out = augmented(x, 0.7)
    (gradient,) = torch.autograd.grad(out[3].sum(), x)
    assert gradient[3].abs().sum() > 0
    assert gradient[torch.arange(16) != 3].abs().sum() == 0


def test_moving_keeps_values_and_moves_channels_alike() -> None:
    x = images(1, 1).expand(32, 3, -1, -1)
    out = always(MOVED, x)
    assert torch.isin(out, x).all()
    assert torch.equal(out[:, 0], out[:, 2])
    # Away from the reflected border each image is its original or the mirror image, moved by whole pixels.
    whole = [x[0, 0], x[0, 0].flip(1)]
    for image in out[:, 0]:
        middle = image[4:-4, 6:-6]
        places = [
            original[4 + down : 12 + down, 6 + right : 18 + right]
            for original in whole
            for down in range(-2, 3)
            for right in range(-3, 4)
        ]
        assert any(torch.equal(middle, place) for place in places)


def test_grey_images_get_brightness_and_contrast_only() -> None:
    x = images(channels=1)
    out = always(RECOLOURED, x)
    assert out.shape == x.shape
    for before, after in zip(x.flatten(1), out.flatten(1), strict=True):
        assert torch.corrcoef(torch.stack([before, after]))[0, 1] == pytest.approx(1, abs=1e-4)


def test_saturation_keeps_the_mean_of_channels_in_proportion() -> None:
    x = images()
    colourless = x.mean(1, keepdim=True).expand_as(x)
    # The same draws: what has no colour gets none, and brightness and contrast are those of coloured images.
    grey, out = always(RECOLOURED, colourless), always(RECOLOURED, x)
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-5)
    assert torch.allclose(out.mean(1), grey.mean(1), atol=1e-5)


def test_cutout_zeroes_a_rectangle_of_at_most_half_the_sides() -> None:
    x = torch.ones(200, 2, 16, 24)
    gone = always(CUT_OUT, x) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(gone[:, 0].sum((1, 2)), rows * columns)
    assert (rows.max(), columns.max()) == (8, 12)


@pytest.mark.parametrize(("sign", "before", "expected"), [(1.0, 0.5, 0.7), (-1.0, 0.5, 0.3)])
def test_p_follows_overfitting(sign: float, before: float, expected: float) -> None:
    augment = AdaptiveAugmentation()
    augment.p.fill_(before)
    for step in range(100):
        augment.adapt(step, sign, 1000)
    assert augment.p.item() == pytest.approx(expected, abs=1e-5)


def test_p_rises_above_the_target_only() -> None:
    augment = AdaptiveAugmentation(target=0.5)
    augment.p.fill_(0.5)
    for step in range(4):
        augment.adapt(step, 0.4, 100)
    assert augment.p < 0.5
    for step in range(4):
        augment.adapt(step, 0.6, 100)
    assert augment.p == 0.5


def test_p_stays_within_its_bounds() -> None:
    augment = AdaptiveAugmentation()
    for step in range(8):
        augment.adapt(step, -1.0, 10)
    assert augment.p == 0
    for step in range(8):
        augment.adapt(step, 1.0, 500_000)
    assert augment.p == pytest.approx(MOST)


def test_a_fixed_p_is_fixed_and_zero_draws_nothing() -> None:
    fixed = AdaptiveAugmentation(0.25)
    for step in range(8):
        fixed.adapt(step, 1.0, 100)
    assert fixed.p == 0.25
    x, before = images(), torch.get_rng_state()
    never = AdaptiveAugmentation(0.0)
    assert never(x, never.draw(x)) is x
    assert torch.equal(torch.get_rng_state(), before)
