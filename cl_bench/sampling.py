"""Any number of samples from a generator, in batches of one shape that fit into memory.

Sample i has random numbers of its own, so that it is the same whatever the batch size, and however many
processes share the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cl_bench.costs import sampling
from cl_bench.processes import working
from cl_bench.progress import Progress
from cl_bench.samples import to_uint8
from cl_bench.seeds import per_sample

# (a generator of random numbers for each sample, labels (n,)) to samples as networks see them (n, …).
Make = Callable[[list[torch.Generator], Tensor], Tensor]


class BatchedSampling:
    """size: samples at once, to begin with; out of memory halves it for good. decoded: what networks made,
    (n, *shape), as data of the stream."""

    def __init__(
        self,
        shape: tuple[int, ...],
        size: int,
        device: torch.device,
        progress: Progress,
        decoded: Callable[[Tensor], Tensor] = to_uint8,
    ) -> None:
        self.shape, self.size, self.device, self.progress = shape, size, device, progress
        self.decoded = decoded

    def __call__(self, labels: Tensor, make: Make) -> Tensor:
        """A sample of the stream on the CPU for each of labels (n,); images uint8 (n, C, H, W)."""
        with sampling(len(labels)):
            generators = per_sample(len(labels))
            mine = working().rows(len(labels))
            return working().gathered(self._own_share(labels[mine], generators[mine], make), len(labels))

    def _own_share(self, labels: Tensor, generators: list[torch.Generator], make: Make) -> Tensor:
        parts, done, n = [self.decoded(torch.empty(0, *self.shape))], 0, len(labels)
        while done < n:
            size = min(self.size, n)
            if self.device.type == "cpu":
                # Even batches: no sample is made twice, but for a few.
                size = math.ceil(n / math.ceil(n / self.size))
            # All batches have one shape, for compilers and convolution planners; the last begins earlier.
            begin = min(done, n - size)
            now = generators[begin : begin + size]
            try:
                made = self.decoded(make(now, labels[begin : begin + size].to(self.device))).cpu()
                parts.append(made[done - begin :])
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
