"""One training loop for all image generators: data on the device, speed where the device has it, no lost
work.

A generator brings its network and a loss; the loop brings batches, precision, the optimiser, averaged
weights, a guard against divergence, and, inside `checkpoints_in(folder)`, a checkpoint every so often from
which a killed training goes on exactly: the same steps, the same random numbers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn

from cl_bench import state as states
from cl_bench.augmentation import Augmentation
from cl_bench.divergence import LossGuard
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.state import State, prefixed, under

Loss = Callable[[Tensor, Tensor], Tensor]
Switch = Literal["auto", "on", "off"]

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class TrainingOptions:
    """Options of every generator that this loop trains."""

    steps: Annotated[int, Gt(0)] = 2000
    """training steps per task"""
    batch: Annotated[int, Gt(0)] = 128
    """images per training step"""
    learning_rate: Annotated[float, Gt(0)] = 3e-4
    """AdamW's rate after a warm-up over the first twentieth of the steps, falling to zero by a cosine"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    """decay of the averaged weights that sampling uses"""
    clip: Annotated[float, Gt(0)] = 1.0
    """largest norm of the gradient"""
    bf16: Switch = "auto"
    """bfloat16 autocast; auto: on CUDA"""
    channels_last: Switch = "auto"
    """NHWC memory format; auto: on CUDA"""
    compile: Switch = "auto"
    """torch.compile of the network; auto: on CUDA, from 1,000 steps on"""


def switched(switch: Switch, auto: bool) -> bool:
    """The value of a switch where "auto" means `auto`."""
    return auto if switch == "auto" else switch == "on"


class _Place:
    """Where checkpoints go. started: how many trainings began there; it numbers their files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, 0


_place: ContextVar[_Place | None] = ContextVar("where training keeps its checkpoints", default=None)


@contextmanager
def checkpoints_in(folder: Path) -> Iterator[None]:
    """Trainings inside keep a checkpoint in `folder` while they run, and go on from one that is there."""
    token = _place.set(_Place(folder))
    try:
        yield
    finally:
        _place.reset(token)


class Compiled:
    """A network by torch.compile, or as it is where compiling is off or fails; the parameters are the
    same."""

    def __init__(
        self, net: nn.Module, options: TrainingOptions, device: torch.device, progress: Progress
    ) -> None:
        self.net, self.progress = net, progress
        wanted = switched(options.compile, device.type == "cuda" and options.steps >= 1000)
        self.call: Callable[..., Any] = torch.compile(net) if wanted else net

    def __call__(self, *inputs: Tensor) -> Any:
        try:
            return self.call(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # Compilers fail in many ways on many machines; training can do without one.
            if self.call is self.net:
                raise
            self.progress.say(f"torch.compile failed ({type(error).__name__}); going on without it")
            self.call = self.net
            return self.net(*inputs)


class Average:
    """Exponential moving average of a network's weights, with a short memory at first, so that it leaves the
    weights it started from quickly."""

    def __init__(self, net: nn.Module, averaged: nn.Module, decay: float) -> None:
        self.pairs = list(zip(averaged.parameters(), net.parameters(), strict=True))
        self.decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After training step `step`, from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([a for a, _ in self.pairs], [w for _, w in self.pairs], 1 - decay)


class Batches:
    """Random batches of uint8 images that lie on the device; mirrored where the stream allows it.

    Crops are left out: a generator would learn their black borders.
    """

    def __init__(self, data: Samples, augmentation: Augmentation, device: torch.device) -> None:
        self.x, self.y = data.x.to(device), data.y.to(device)
        self.augmentation = Augmentation(flip=augmentation.flip)

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """n images, float32 in [−1, 1], and their labels."""
        pick = torch.randint(len(self.y), (n,), device=self.y.device)
        return scaled(self.augmentation(self.x.index_select(0, pick))), self.y[pick]


def train(
    net: nn.Module,
    averaged: nn.Module,
    loss: Loss,
    data: Samples,
    augmentation: Augmentation,
    options: TrainingOptions,
    device: torch.device,
    progress: Progress,
    what: str,
) -> None:
    """Train `net` in place for `options.steps` steps and keep `averaged` as its moving average.

    loss: (x (n, C, H, W) float in [−1, 1], y (n,)) to a scalar, calling `net` inside. Raises
    TrainingDiverged.
    """
    batches = Batches(data, augmentation, device)
    optimiser = torch.optim.AdamW(net.parameters(), options.learning_rate, weight_decay=0.0, fused=True)
    on_cuda = device.type == "cuda"
    bf16 = switched(options.bf16, on_cuda)
    layout = torch.channels_last if switched(options.channels_last, on_cuda) else torch.contiguous_format
    average, guard = Average(net, averaged, options.ema), LossGuard(what)
    micro_batches = MicroBatches(optimiser, progress)
    checkpoint = Checkpoint({"net": net, "averaged": averaged}, {"net": optimiser}, device)
    net.to(memory_format=layout).train()
    done = checkpoint.restore()
    for step in progress.steps(options.steps, what):
        if step < done:
            continue
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate(step, options.steps)
        x, y = batches.draw(options.batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            total = micro_batches.backward(loss, x.contiguous(memory_format=layout), y)
        guard.check(total)
        nn.utils.clip_grad_norm_(net.parameters(), options.clip)
        optimiser.step()
        average.update(step)
        checkpoint.save_now_and_then(step + 1)
    checkpoint.remove()
    optimiser.zero_grad()
    net.eval()


def rate(step: int, steps: int) -> float:
    """Learning rate at `step` of `steps` as a share of its peak: a linear warm-up over the first twentieth,
    then a cosine to zero."""
    warm_up = max(steps // 20, 1)
    if step < warm_up:
        return (step + 1) / warm_up
    return (1 + math.cos(math.pi * (step - warm_up) / max(steps - warm_up, 1))) / 2


class MicroBatches:
    """Gradients of a batch in as many parts as memory asks for: the effective batch stays the same."""

    def __init__(self, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        self.optimiser, self.progress, self.parts = optimiser, progress, 1

    def backward(self, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        """Set the parameters' gradients to that of the mean loss; the loss. Out of memory halves the
        parts."""
        while True:
            try:
                return self._backward(loss, x, y)
            except torch.OutOfMemoryError:
                if self.parts >= len(y):
                    raise
                self.parts = min(2 * self.parts, len(y))
            # Outside the handler, whose traceback keeps the activations alive.
            torch.cuda.empty_cache()
            self.progress.say(f"out of memory: batches of {len(y)} in {self.parts} parts from here on")

    def _backward(self, loss: Loss, x: Tensor, y: Tensor) -> Tensor:
        self.optimiser.zero_grad()
        total = torch.zeros((), device=x.device)
        for part, labels in zip(x.chunk(self.parts), y.chunk(self.parts), strict=True):
            share = loss(part, labels) * (len(labels) / len(y))
            share.backward()
            total += share.detach()
        return total


class Checkpoint:
    """All that a training needs to go on exactly, on disk every CHECKPOINT_SECONDS; nowhere outside
    `checkpoints_in`.

    modules: networks and whatever else changes, as buffers. optimisers: with the learning rates of the step
    set anew by the training, if it changes them.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        optimisers: Mapping[str, torch.optim.Optimizer],
        device: torch.device,
    ) -> None:
        self.modules, self.optimisers, self.device = modules, optimisers, device
        self.path: Path | None = None
        self.saved = time.perf_counter()
        place = _place.get()
        if place is not None:
            self.path = place.folder / f"training_{place.started:02d}.safetensors"
            place.started += 1

    def save_now_and_then(self, done: int) -> None:
        """Save after `done` steps, unless the last time was a moment ago."""
        if self.path is None or time.perf_counter() - self.saved < CHECKPOINT_SECONDS:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        parts: dict[str, State] = {"random": {"cpu": torch.get_rng_state()}}
        if self.device.type == "cuda":
            parts["random"]["cuda"] = torch.cuda.get_rng_state(self.device)
        for name, module in self.modules.items():
            parts[f"module.{name}"] = module.state_dict()
        for name, optimiser in self.optimisers.items():
            parts[f"optimiser.{name}"] = {
                f"{index}.{key}": value
                for index, entries in optimiser.state_dict()["state"].items()
                for key, value in entries.items()
            }
        content: State = {"done": torch.tensor(done)}
        for name, part in parts.items():
            content |= prefixed(name, part)
        states.save(self.path, content)
        self.saved = time.perf_counter()

    def restore(self) -> int:
        """Take over the checkpoint that is there; the number of steps done, 0 without one."""
        if self.path is None or not self.path.exists():
            return 0
        content = states.load(self.path)
        for name, module in self.modules.items():
            module.load_state_dict(under(f"module.{name}", content))
        for name, optimiser in self.optimisers.items():
            moments: dict[int, State] = {}
            for entry, value in under(f"optimiser.{name}", content).items():
                index, _, key = entry.partition(".")
                moments.setdefault(int(index), {})[key] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": moments, "param_groups": groups})
        random = under("random", content)
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"], self.device)
        return int(content["done"])

    def remove(self) -> None:
        """Training is over: what comes next on disk is the task's own checkpoint."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
