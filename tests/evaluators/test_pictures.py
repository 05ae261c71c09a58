"""The pictures are written, and show what they should."""

from __future__ import annotations

import numpy as np
import torch

from cl_bench.evaluators.umap import embed


def test_umap_leaves_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        embed(np.random.default_rng(0).normal(size=(40, 5)))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_grid_and_umap_per_task(fast_run) -> None:
    from PIL import Image

    run = fast_run("bootstrap", tasks=2, evaluators=("samples", "umap"))
    for t in range(2):
        for name in ("samples.png", "umap.png"):
            with Image.open(run.path / f"task_{t:02d}" / name) as image:
                assert image.size[0] > 500
                assert len(set(image.convert("L").tobytes())) > 20
