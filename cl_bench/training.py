"""One training loop for all image generators: data on the device, speed where the device has it, no lost
work.

A generator brings its network, what it draws at random for a batch, and a loss of both; the loop brings
batches, precision, the optimiser, averaged weights, a guard against divergence, checkpoints (see
checkpoint.py), a record (training_record.py) and the other processes, if there are any (processes.py).

    x, y ~ data;  u = draw(x, y);  minimise loss(x, y, *u), a mean over rows

Because all that is random is drawn for the whole batch first, the loss is the same however its rows are
parted: among processes, or to fit into memory. (A loss that is no mean over rows, vae's, differs a little.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from cl_bench.augmentation import Augmentation
from cl_bench.checkpoint import Checkpoint
from cl_bench.divergence import LossGuard
from cl_bench.processes import working
from cl_bench.progress import Progress
from cl_bench.samples import Samples, scaled
from cl_bench.training_record import Previews, TrainingRecord

Draw = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
Loss = Callable[..., Tensor]
Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class LoopOptions:
    """Options of every generator that is trained step by step on images."""

    DEFAULT_STEPS: ClassVar[int] = 2000

    steps: Annotated[int, Gt(0)] | None = None
    """training steps per task; none for epochs, or, without those, 2,000 (stylegan2: 5,000)"""
    epochs: Annotated[float, Gt(0)] | None = None
    """training length in passes over the task's training set, instead of steps"""
    batch: Annotated[int, Gt(0)] = 128
    """images per training step, over all processes"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    """decay of the averaged weights that sampling uses"""
    weights: str | None = None
    """run, or safetensors file, whose generator a fresh one begins as; what does not fit begins at random"""
    grid_every: Annotated[int, Ge(0)] = 0
    """steps between sample grids in the task's folder; 0 for none"""
    bf16: Switch = "auto"
    """bfloat16 autocast; auto: on CUDA"""

    def __post_init__(self) -> None:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps={self.steps} and epochs={self.epochs:g} are two lengths; give one")

    def steps_for(self, n: int) -> int:
        """Training steps on a set of n images."""
        if self.epochs is not None:
            return max(math.ceil(self.epochs * n / self.batch), 1)
        return self.steps or self.DEFAULT_STEPS


@dataclass(frozen=True)
class TrainingOptions(LoopOptions):
    """Options of every generator that `train` trains."""

    learning_rate: Annotated[float, Gt(0)] = 3e-4
    """AdamW's rate after a warm-up over the first twentieth of the steps, falling to zero by a cosine"""
    clip: Annotated[float, Gt(0)] = 1.0
    """largest norm of the gradient"""
    channels_last: Switch = "auto"
    """NHWC memory format; auto: on CUDA"""
    compile: Switch = "auto"
    """torch.compile of the network; auto: on CUDA, unless steps are fewer than 1,000"""


def switched(switch: Switch, auto: bool) -> bool:
    """The value of a switch where "auto" means `auto`."""
    return auto if switch == "auto" else switch == "on"


class Compiled:
    """A network by torch.compile, or as it is where compiling is off or fails; the parameters are the
    same."""

    def __init__(
        self, net: nn.Module, options: TrainingOptions, device: torch.device, progress: Progress
    ) -> None:
        self.net, self.progress = net, progress
        wanted = switched(options.compile, device.type == "cuda" and (options.steps or 1000) >= 1000)
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
    draw: Draw,
    loss: Loss,
    data: Samples,
    augmentation: Augmentation,
    options: TrainingOptions,
    device: torch.device,
    progress: Progress,
    what: str,
    sample: Callable[[Tensor], Tensor],
) -> None:
    """Train `net` in place and keep `averaged` as its moving average.

    draw: (x (n, C, H, W) float in [−1, 1], y (n,)) to what the loss needs besides, each with n rows. loss:
    (x, y, *drawn) to the mean over rows, a scalar, calling `net` inside. sample: labels to images, for
    grids of samples. Raises TrainingDiverged.
    """
    steps = options.steps_for(len(data))
    batches = Batches(data, augmentation, device)
    optimiser = torch.optim.AdamW(net.parameters(), options.learning_rate, weight_decay=0.0, fused=True)
    on_cuda = device.type == "cuda"
    bf16 = switched(options.bf16, on_cuda)
    layout = torch.channels_last if switched(options.channels_last, on_cuda) else torch.contiguous_format
    average, guard = Average(net, averaged, options.ema), LossGuard(what)
    micro_batches = MicroBatches(optimiser, progress)
    record = TrainingRecord(what, steps, options.batch)
    checkpoint = Checkpoint({"net": net, "averaged": averaged, "record": record}, {"net": optimiser}, device)
    previews = Previews(options.grid_every, sample, data.classes, checkpoint)
    net.to(memory_format=layout).train()
    done = checkpoint.restore()
    record.begin(done)
    for step in progress.steps(steps, what, done, options.batch):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * rate(step, steps)
        x, y = batches.draw(options.batch)
        x = x.contiguous(memory_format=layout)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            total = micro_batches.backward(loss, (x, y, *draw(x, y)))
        record.add(step, guard.check(total))
        nn.utils.clip_grad_norm_(net.parameters(), options.clip)
        optimiser.step()
        average.update(step)
        previews.after(step + 1)
        checkpoint.save_now_and_then(step + 1)
    record.write(checkpoint)
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
    """Gradients of a batch, computed by all processes, each its rows, in as many parts as memory asks for:
    the effective batch stays the same."""

    def __init__(self, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
        self.optimiser, self.progress, self.parts = optimiser, progress, 1

    def backward(self, loss: Loss, inputs: Sequence[Tensor]) -> Tensor:
        """Set the parameters' gradients to that of the mean loss over all rows of `inputs`; the loss. Out
        of memory halves the parts.

        A loss may return (k,), each a mean over rows: the first is descended on, and all are returned.
        """
        total = self._own_share(loss, inputs)
        gradients = [
            parameter.grad
            for group in self.optimiser.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        working().sum([*gradients, total])
        return total

    def _own_share(self, loss: Loss, inputs: Sequence[Tensor]) -> Tensor:
        n = len(inputs[0])
        mine = working().rows(n)
        while True:
            try:
                return self._backward(loss, [values[mine] for values in inputs], n)
            except torch.OutOfMemoryError:
                if self.parts >= mine.stop - mine.start:
                    raise
                self.parts = min(2 * self.parts, mine.stop - mine.start)
            # Outside the handler, whose traceback keeps the activations alive.
            torch.cuda.empty_cache()
            self.progress.say(f"out of memory: batches of {n} in {self.parts} parts from here on")

    def _backward(self, loss: Loss, inputs: Sequence[Tensor], n: int) -> Tensor:
        self.optimiser.zero_grad()
        total = torch.zeros((), device=inputs[0].device)
        for part in zip(*(values.chunk(self.parts) for values in inputs), strict=True):
            share = loss(*part) * (len(part[0]) / n)
            share.flatten()[0].backward()
            total = total + share.detach()
        return total
