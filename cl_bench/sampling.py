"""Any number of images from a generator, in batches of one shape that fit into memory.

Image i has random numbers of its own, so that it is the same whatever the batch size, and however many
processes share the work.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cl_bench.costs import sampling
from cl_bench.processes import working
from cl_bench.progress import Progress
from cl_bench.samples import to_uint8
from cl_bench.seeds import per_sample

# (a generator of random numbers for each image, labels (n,)) to images (n, C, H, W) about [−1, 1].
Make = Callable[[list[torch.Generator], Tensor], Tensor]


class BatchedSampling:
    """size: images at once, to begin with; out of memory halves it for good."""

    def __init__(self, shape: tuple[int, ...], size: int, device: torch.device, progress: Progress) -> None:
        self.shape, self.size, self.device, self.progress = shape, size, device, progress

    def __call__(self, labels: Tensor, make: Make) -> Tensor:
        """uint8 images (n, C, H, W) on the CPU, one for each of labels (n,)."""
        with sampling(len(labels)):
            generators = per_sample(len(labels))
            mine = working().rows(len(labels))
            return working().gathered(self._own_share(labels[mine], generators[mine], make), len(labels))

    def _own_share(self, labels: Tensor, generators: list[torch.Generator], make: Make) -> Tensor:
        parts, done, n = [torch.empty(0, *self.shape, dtype=torch.uint8)], 0, len(labels)
        while done < n:
            size = min(self.size, n)
            # All batches have one shape, for compilers and convolution planners; the last begins earlier.
            begin = min(done, n - size)
            now = generators[begin : begin + size]
            try:
                images = to_uint8(make(now, labels[begin : begin + size].to(self.device))).cpu()
                parts.append(images[done - begin :])
                done = begin + size
                continue
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self.size = size // 2
            # Outside the handler, whose traceback keeps the activations alive.
            torch.cuda.empty_cache()
            self.progress.say(f"out of memory: {self.size} images sampled at once from here on")
            for generator in now:
                generator.manual_seed(generator.initial_seed())
        return torch.cat(parts)
