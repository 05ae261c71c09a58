"""What the diffusion and flow generators share: networks, training, guidance, sampling in batches.

A subclass says how an image is noised and denoised. All of them estimate the clean image x̂ from
x_t = α x + σ ε, and guidance moves that estimate, so that it works with every sampler:

  classifier-free:  x̂ ← x̂(∅) + w (x̂(y) − x̂(∅))              J. Ho, T. Salimans 2022, arXiv 2207.12598
  classifier:       x̂ ← x̂ + s σ²/α ∇_{x_t} log p(y | x̂ or x_t)   P. Dhariwal, A. Nichol 2021, algorithm 2,
                    which is ε̂ ← ε̂ − s σ ∇_{x_t} log p in terms of the noise

A frozen copy of the network can teach (S. Masip et al. 2023, arXiv 2311.14028): its prediction, in whatever
parametrisation, is then the target at samples that it makes in a few steps.

x̂ of images is clipped to the data range at each step ("static thresholding", Saharia et al. 2022, §2.3).

A vector of d values is an image of one pixel and d channels (unit.py), and its network a perceptron.
"""

from __future__ import annotations

import copy
import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn

from cl_bench.costs import evaluated, sampling
from cl_bench.errors import UserError
from cl_bench.generator import Distillable, Distillation, Guide
from cl_bench.generators.point_network import PointNetwork
from cl_bench.generators.unet import Size, UNet
from cl_bench.generators.unit import unit_of
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.sampling import BatchedSampling
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import Compiled, Draw, Loss, TrainingOptions, switched, train


@dataclass(frozen=True)
class ImageDiffusionOptions(TrainingOptions):
    size: Size = "tiny"
    """network: micro (2.6 M parameters, for CPUs, patches of 4×4 pixels), tiny (2.6 M, for CPUs, 2×2), small
    (6.5 M), base (36 M, for 32 pixels), large (77 M, for 64); for vectors layers of 64, 128, 256, 512 or 1024
    units"""
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """dropout in the network's residual blocks"""
    cfg: Annotated[float, Ge(0)] = 1.0
    """classifier-free guidance weight w; 1 for none"""
    label_dropout: Annotated[float, Interval(ge=0, lt=1)] | None = None
    """share of labels hidden in training; none for 0.1 with classifier-free guidance and 0 without"""
    sampling_batch: Annotated[int, Gt(0)] = 512
    """images sampled at once, fewer where memory does not hold so many"""


class ImageDiffusion(Distillable):
    """Subclasses give `loss`, `level` and `denoise`, and `clean`, the estimate x̂ of one network
    evaluation."""

    guidable = True
    Options = ImageDiffusionOptions
    # Of vectors as the network sees them.
    vector_std: ClassVar[float] = 1.0

    def __init__(
        self, spec: StreamSpec, options: ImageDiffusionOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        self.label_dropout = options.label_dropout
        if self.label_dropout is None:
            self.label_dropout = 0.1 if options.cfg != 1 else 0.0
        if options.cfg != 1 and not self.label_dropout:
            raise UserError(
                f"generator {self.name!r}: cfg={options.cfg:g} needs a network that knows images without "
                "labels; leave out label_dropout=0"
            )
        self.unit = unit_of(spec, self.name, self.vector_std)
        if spec.modality == "image":
            self.net: nn.Module = UNet(spec, options.size, options.dropout, progress).to(device)
        else:
            for option in ("dropout", "grid_every"):
                if getattr(options, option):
                    raise UserError(f"generator {self.name!r}: {option} has no effect on vectors")
            self.net = PointNetwork(spec, options.size).to(device)
        self.averaged = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.forward = Compiled(self.net, options, device, progress)
        self.batched = BatchedSampling(
            self.unit.shape, options.sampling_batch, device, progress, self.unit.decoded
        )

    @abstractmethod
    def draw(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Times or noise levels (n,), and noise (n, C, H, W), for images x in [−1, 1] and labels y (n,)."""

    @abstractmethod
    def loss(
        self, x: Tensor, y: Tensor, time: Tensor, epsilon: Tensor, teacher: nn.Module | None = None
    ) -> Tensor:
        """The training loss, a scalar mean over rows. teacher: a frozen network whose output for the same
        input is the target instead."""

    @abstractmethod
    def level(self, u: float) -> tuple[float, float, float]:
        """α, σ and the network's time at u, from 0, an image, to 1, noise."""

    @abstractmethod
    def clean(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """x̂ from x_t at times t (n,), by the averaged weights."""

    @abstractmethod
    def denoise(self, generators: list[torch.Generator], y: Tensor, guide: Guide | None) -> Tensor:
        """An image for each label, about [−1, 1]; image i draws from generators[i] alone."""

    def fit(self, data: Samples) -> None:
        self._train(
            data,
            lambda x, y: (*self.draw(x, y), self._hidden(y)),
            lambda x, y, time, epsilon, shown: self.loss(x, shown, time, epsilon),
        )

    def fit_distilled(self, data: Samples, distillation: Distillation) -> None:
        teacher = copy.copy(self)
        teacher.averaged = copy.deepcopy(self.averaged)
        classes = torch.tensor(distillation.classes, device=self.device)

        def draw(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
            old_y = classes[torch.randint(len(classes), (len(y),), device=self.device)]
            with sampling(len(old_y)):
                old_x = teacher.few_steps(old_y, distillation.steps)
            new = (*self.draw(x, y), self._hidden(y))
            return (*new, old_x, *self.draw(old_x, old_y), self._hidden(old_y))

        def loss(x: Tensor, y: Tensor, time: Tensor, epsilon: Tensor, shown: Tensor, *old: Tensor) -> Tensor:
            old_x, old_time, old_epsilon, old_shown = old
            real = self.loss(x, shown, time, epsilon)
            distance = self.loss(old_x, old_shown, old_time, old_epsilon, teacher.averaged)
            return distillation.real * real + distillation.weight * distance

        self._train(data, draw, loss)

    def few_steps(self, y: Tensor, steps: int) -> Tensor:
        """An image in [−1, 1] for each label by `steps` DDIM steps with η = 0 (J. Song et al. 2021, eq. 12),
        at the middles of as many equal parts of time; from the averaged weights and torch's global
        generator."""
        levels = [self.level((k + 0.5) / steps) for k in reversed(range(steps))]
        x = levels[0][1] * torch.randn(len(y), *self.unit.shape, device=self.device)
        for (alpha, sigma, t), (then_alpha, then_sigma, _) in itertools.pairwise([*levels, (1.0, 0.0, 0.0)]):
            clean = self.estimate(x, alpha, sigma, t, y, None)
            x = then_alpha * clean + then_sigma * (x - alpha * clean) / sigma
        return x

    def _train(self, data: Samples, draw: Draw, loss: Loss) -> None:
        train(
            self.net,
            self.averaged,
            draw,
            loss,
            self.unit.prepared(data),
            self.spec.augmentation,
            self.options,
            self.device,
            self.progress,
            f"generator {self.name}",
            self.sample,
        )

    def _hidden(self, y: Tensor) -> Tensor:
        """Labels, some replaced by "any class"."""
        if not self.label_dropout:
            return y
        return torch.where(torch.rand(len(y), device=y.device) < self.label_dropout, self.spec.num_classes, y)

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        return self.batched(labels, lambda generators, y: self.denoise(generators, y, guide))

    def estimate(
        self, x: Tensor, alpha: float, sigma: float, t: float, y: Tensor, guide: Guide | None
    ) -> Tensor:
        """x̂ at time t with all guidance, of images clipped to [−1, 1]."""
        times = torch.full((len(y),), t, device=x.device)
        evaluated(len(y) if self.options.cfg == 1 else 2 * len(y))
        bf16 = switched(self.options.bf16, self.device.type == "cuda")
        through = guide is not None and guide.target == "x0"
        x = x.detach().requires_grad_(guide is not None)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)
        # A guide that reads x_t does not need the network's activations.
        with torch.set_grad_enabled(through), autocast:
            clean = self.clean(x, times, y).float()
            if self.options.cfg != 1:
                unlabelled = self.clean(x, times, torch.full_like(y, self.spec.num_classes)).float()
                clean = unlabelled + self.options.cfg * (clean - unlabelled)
        if guide is not None:
            with torch.enable_grad():
                # Where noise is added to an unscaled image, x_t is far larger than what a guide knows.
                read = clean if through else x / max(1.0, math.hypot(alpha, sigma))
                (gradient,) = torch.autograd.grad(guide.log_prob(self.unit.read(read), y).sum(), x)
            clean = clean + guide.scale * sigma**2 / alpha * gradient
        return self.unit.bounded(clean.detach())

    def state_dict(self) -> State:
        weights = prefixed("net", self.net.state_dict()) | prefixed("averaged", self.averaged.state_dict())
        return weights | prefixed("unit", self.unit.state_dict())

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(under("net", state))
        self.averaged.load_state_dict(under("averaged", state))
        self.unit.load_state_dict(under("unit", state))
