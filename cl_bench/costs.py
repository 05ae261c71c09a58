"""What replay costs: network evaluations, images and seconds of sampling, and the peak of memory.

Generators report to whoever listens:

    with counted() as costs:       the runner, around a task's learning
        with sampling(n):          a generator, around the drawing of n samples
            evaluated(rows)        a generator, at each evaluation of its network on so many rows

Network evaluations are counted row by row: 20 steps for 512 images are 10,240, and twice that with
classifier-free guidance. Forward passes of the sampling network only: neither training counts, nor a guide's
network, nor the backward pass that guidance takes through the sampling network. A GAN, or a VAE's decoder, is
evaluated once an image.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from cl_bench.processes import Processes

MEGABYTE = 1e6


@dataclass
class SamplingCosts:
    """samples: drawn. seconds: they took, of this process's clock. network_evaluations: rows, see above."""

    samples: int = 0
    seconds: float = 0.0
    network_evaluations: int = 0

    def over(self, processes: Processes) -> SamplingCosts:
        """With the network evaluations of all processes; all of them must ask. Samples and seconds are those
        of one process, since all draw the same set together."""
        device = processes.state.device if processes.count > 1 else torch.device("cpu")
        total = torch.tensor([float(self.network_evaluations)], dtype=torch.float64, device=device)
        processes.sum([total])
        return SamplingCosts(self.samples, self.seconds, round(total.item()))

    def as_dict(self) -> dict[str, Any]:
        """For a task's finished.json; None throughout when no generator reported that it sampled."""
        if not self.samples:
            return dict.fromkeys(("network_evaluations", "sampled", "seconds_sampling"))
        return {
            "network_evaluations": self.network_evaluations,
            "sampled": self.samples,
            "seconds_sampling": round(self.seconds, 3),
        }


_listening: ContextVar[SamplingCosts | None] = ContextVar("where sampling is counted", default=None)
_inside: ContextVar[bool] = ContextVar("whether sampling goes on already", default=False)


@contextmanager
def counted() -> Iterator[SamplingCosts]:
    """Whatever generators report inside is added up."""
    costs = SamplingCosts()
    token = _listening.set(costs)
    try:
        yield costs
    finally:
        _listening.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Sampling inside is no cost of replay: previews, say."""
    token = _listening.set(None)
    try:
        yield
    finally:
        _listening.reset(token)


@contextmanager
def sampling(samples: int) -> Iterator[None]:
    """A generator draws `samples` inside; a generator that uses another one inside counts once."""
    costs = _listening.get()
    if costs is None or _inside.get():
        yield
        return
    token, start = _inside.set(True), time.perf_counter()
    try:
        yield
    finally:
        _inside.reset(token)
        costs.samples += samples
        costs.seconds += time.perf_counter() - start


def evaluated(rows: int) -> None:
    """A generator's network was evaluated on `rows` rows, to sample."""
    costs = _listening.get()
    if costs is not None:
        costs.network_evaluations += rows


def begin_memory(device: torch.device) -> None:
    """Peaks are those from here on, where the device can tell."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, Any]:
    """`peak_memory_mb`, in 10⁶ bytes, and `peak_memory_of`, what it is the peak of: "cuda, this task" (memory
    of tensors, without what the allocator holds in reserve) or "process" (its resident set since it began,
    with the libraries). Both None where the system does not tell."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        return {"peak_memory_mb": round(peak / MEGABYTE, 1), "peak_memory_of": "cuda, this task"}
    try:
        import resource
    except ImportError:  # Windows
        return {"peak_memory_mb": None, "peak_memory_of": None}
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak_memory_mb": round(peak / MEGABYTE, 1), "peak_memory_of": "process"}
