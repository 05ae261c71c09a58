"""Training images/s of our loop beside diffusers' unconditional training example, and the device's own limit.

The other loop is written after huggingface/diffusers examples/unconditional_image_generation
(train_unconditional.py, Apache 2.0): PIL images through torchvision transforms in a DataLoader, the same
UNet2DModel, DDPM noise, mean squared error, clipping, AdamW, EMAModel, a cosine schedule. Both run the same
UNet on the same images with the same batch and precision, in turns, in one process.

By hand on a quiet machine: `uv run pytest -m perf -s tests/perf/test_training_speed.py`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl_bench.generators.ddpm import DDPM, DDPMOptions
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.training import Average, Batches, MicroBatches, switched

pytestmark = pytest.mark.perf

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
SIZE, BATCH, STEPS, ROUNDS = ("base", 128, 50, 3) if CUDA else ("base", 16, 2, 3)
DTYPE = torch.bfloat16 if CUDA else torch.float32


class Example:
    """The steps of diffusers' example."""

    def __init__(self, data: Samples, unet: nn.Module) -> None:
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel
        from PIL import Image
        from torchvision import transforms

        self.unet = unet.to(DEVICE)
        self.scheduler: Any = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self.ema = EMAModel(self.unet.parameters(), decay=0.9999, use_ema_warmup=True)
        self.optimiser = torch.optim.AdamW(
            self.unet.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        self.schedule = get_scheduler(
            "cosine", self.optimiser, num_warmup_steps=500, num_training_steps=10_000
        )
        augment = transforms.Compose(
            [
                transforms.Resize(32, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(32),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )
        pictures = [Image.fromarray(x.permute(1, 2, 0).numpy()) for x in data.x]
        pairs = list(zip(pictures, data.y.tolist(), strict=True))

        class Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
            def __len__(self) -> int:
                return len(pairs)

            def __getitem__(self, index: int) -> tuple[Tensor, int]:
                picture, label = pairs[index]
                return augment(picture.convert("RGB")), label

        self.loader = torch.utils.data.DataLoader(
            Pictures(), batch_size=BATCH, shuffle=True, drop_last=True, num_workers=4 if CUDA else 0
        )
        self.batches = self._endless()

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.loader

    def step(self) -> None:
        clean, labels = (part.to(DEVICE) for part in next(self.batches))
        noise = torch.randn_like(clean)
        t = torch.randint(1000, (len(clean),), device=DEVICE)
        noisy = self.scheduler.add_noise(clean, noise, t)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DTYPE is torch.bfloat16):
            out = self.unet(noisy, t, labels).sample
            loss = nn.functional.mse_loss(out.float(), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        self.ema.step(self.unet.parameters())
        loss.item()  # logged at every step


class Ours:
    """The steps of `training.train`, one at a time."""

    def __init__(self, generator: DDPM, data: Samples) -> None:
        options = generator.options
        self.generator, self.data = generator, data
        self.net = generator.net
        self.layout = (
            torch.channels_last if switched(options.channels_last, CUDA) else torch.contiguous_format
        )
        self.net.to(memory_format=self.layout).train()
        self.optimiser = torch.optim.AdamW(self.net.parameters(), 3e-4, weight_decay=0.0, fused=True)
        self.average = Average(self.net, generator.averaged, 0.999)
        self.micro = MicroBatches(self.optimiser, Progress(quiet=True))
        self.batches = Batches(data, generator.spec.augmentation, DEVICE)

    def inputs(self) -> tuple[Tensor, ...]:
        x, y = self.batches.draw(BATCH)
        x = x.contiguous(memory_format=self.layout)
        return (x, y, *self.generator.draw(x, y))

    def step(self) -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DTYPE is torch.bfloat16):
            total = self.micro.backward(self.generator.loss, self.inputs())
        total.item()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(1)


def seconds(what: Callable[[], object], steps: int) -> float:
    """Per call, waiting for the device."""
    if CUDA:
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        what()
    if CUDA:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / steps


def matmul_rate(n: int = 8192 if CUDA else 2048) -> float:
    """FLOP/s of an n×n matrix product in the precision of training, the best of five."""
    a, b = (torch.randn(n, n, device=DEVICE, dtype=DTYPE) for _ in range(2))
    a @ b
    return 2 * n**3 / min(seconds(lambda: a @ b, 3) for _ in range(5))


def step_flop(ours: Ours) -> int:
    """Of one training step, forward and backward, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    generator = ours.generator
    compiled, generator.forward.call = generator.forward.call, generator.net
    with FlopCounterMode(display=False) as counter:
        ours.micro.backward(generator.loss, ours.inputs())
    generator.forward.call = compiled
    return counter.get_total_flops()


def test_training_beside_the_example_of_diffusers(build) -> None:
    """At least 1.5 times its images/s on CUDA, not slower on a CPU; data under 3 % of a step."""
    stream = build("splitcifar100", tasks=50, valid_fraction=0.0).build()
    data = stream.tasks[0].train
    options = DDPMOptions(size=SIZE, batch=BATCH)
    with isolated(0):
        generator = DDPM(stream.spec, options, DEVICE, Progress())
        ours = Ours(generator, data)
        example = Example(data, type(generator.net.net)(**generator.net.net.config))
        seconds(ours.step, 3)
        seconds(example.step, 3)
        times = [(seconds(ours.step, STEPS), seconds(example.step, STEPS)) for _ in range(ROUNDS)]
        mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        loading = seconds(lambda: ours.batches.draw(BATCH), 20)
        flop, rate = step_flop(ours), matmul_rate()
    print(
        f"\nddpm {SIZE}, batch {BATCH}, {DTYPE}, {DEVICE.type}: {BATCH / mine:.1f} images/s,"
        f" diffusers' example {BATCH / theirs:.1f}, ratio {theirs / mine:.2f};"
        f" data {100 * loading / mine:.2f} % of a step; {flop / mine / 1e12:.3f} TFLOP/s,"
        f" {100 * flop / mine / rate:.0f} % of a matrix product's {rate / 1e12:.3f}"
    )
    assert loading < 0.03 * mine
    assert theirs / mine > (1.5 if CUDA else 1.0)
