"""The pictures are written, and show what they should."""

from __future__ import annotations

import torch

from cl_bench.evaluators.sample_grid import COLUMNS, _tiles
from cl_bench.samples import Samples


def test_grid_and_umap_per_task(fast_run) -> None:
    from PIL import Image

    run = fast_run("bootstrap", tasks=2, evaluators=("samples", "umap"))
    for t in range(2):
        for name in ("samples.png", "umap.png"):
            with Image.open(run.path / f"task_{t:02d}" / name) as image:
                assert image.size[0] > 500
                assert len(set(image.convert("L").tobytes())) > 20


def test_tiles_put_classes_in_rows_and_samples_in_columns() -> None:
    x = torch.arange(24, dtype=torch.uint8).reshape(24, 1, 1, 1).expand(24, 1, 2, 2)
    canvas = _tiles(Samples.real(x, torch.arange(2).repeat_interleave(12)), (1, 0))
    assert tuple(canvas.shape) == (6, COLUMNS * 3)
    assert canvas[0, 0] == 12
    assert canvas[3, 0] == 0
    assert canvas[3, 3] == 1
    assert canvas[2, 0] == 255
