"""Images in rows by class."""

from __future__ import annotations

import torch

from cl_bench.samples import Samples
from cl_bench.tiles import tiles


def test_classes_are_rows_and_samples_columns() -> None:
    x = torch.arange(24, dtype=torch.uint8).reshape(24, 1, 1, 1).expand(24, 1, 2, 2)
    canvas = tiles(Samples.real(x, torch.arange(2).repeat_interleave(12)), (1, 0), 10)
    assert tuple(canvas.shape) == (6, 30)
    assert canvas[0, 0] == 12
    assert canvas[3, 0] == 0
    assert canvas[3, 3] == 1
    assert canvas[2, 0] == 255


def test_colours_stay_in_their_channels() -> None:
    red = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    red[:, 0] = 200
    canvas = tiles(Samples.real(red, torch.zeros(1).long()), (0,), 2)
    assert tuple(canvas.shape) == (3, 6, 3)
    assert canvas[0, 0].tolist() == [200, 0, 0]
