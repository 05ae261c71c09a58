"""StyleGAN2 with adaptive discriminator augmentation, class-conditional, for small images.

Papers: T. Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020 (arXiv 1912.04958);
T. Karras et al., "Training Generative Adversarial Networks with Limited Data" (ADA), 2020 (2006.06676); L.
Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", 2018 (1801.04406).

With w = mapping(z, y), x̃ = G(w, noise), T a random transform (see adaptive_augmentation.py):
  D: E softplus(D(T x̃, y)) + E softplus(−D(T x, y))        non-saturating logistic loss
  G: E softplus(−D(T x̃, y))
  every 16 steps, D:  16 · γ/2 · E ‖∇_x D(T x, y)‖²         R1 (Mescheder et al., eq. 9)
  every 8 steps, G:   8 · λ · E (‖J_wᵀ u‖ − a)²             path length (1912.04958, eq. 4), u ~ N(0, I/HW),
                                                            a: moving average of ‖J_wᵀ u‖, decay 0.99
  Adam(0, 0.99), each network's rate and betas times and to the power of k/(k + 1) where it is regularised
  every k steps (1912.04958, appendix B, lazy regularisation)
  γ = 0.0002 · H · W / batch (2006.06676, implementation details)
  λ = 1/(log₂ max(H, W) − 1), the paper's ln 2/(r² (ln r − ln 2)) for u ~ N(0, I) (1912.04958, appendix B)
  sampling: the generator's averaged weights, z ~ N(0, I), noise inputs ~ N(0, I)

  replay alignment, G, on request: + λ E ‖G(z, c) − G′(z, c)‖², c old classes (C. Wu et al. 2018, 1809.02058)

Deviations: fakes of a step have the labels of its real images. R1 is taken of the images that D sees, those
after T. a starts at the first lengths, not at 0; whether that helps was not shown. No style mixing, no
truncation of w. The rest is told in stylegan2_networks.py and adaptive_augmentation.py.
Written from the papers; no code of their authors is used.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor, nn
from torch.nn.functional import softplus

from cl_bench import register_generator
from cl_bench.checkpoint import Checkpoint
from cl_bench.costs import evaluated
from cl_bench.errors import UserError
from cl_bench.generator import Alignable, Guide
from cl_bench.generators.adaptive_augmentation import AdaptiveAugmentation
from cl_bench.generators.player import Player
from cl_bench.generators.stylegan2_networks import Discriminator, GeneratorNetwork
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.sampling import BatchedSampling
from cl_bench.seeds import noise
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import Average, Batches, LoopOptions, switched
from cl_bench.training_record import Previews, TrainingRecord

R1_EVERY, PATH_EVERY = 16, 8
MAPPING_RATE = 0.01  # of the other layers' learning rate
SMALL = 1e-8
R1_TERM = f", R1 penalty (every {R1_EVERY} steps)"
PATH_TERM = f", path length penalty (every {PATH_EVERY} steps)"
SAMPLING_BATCH = 256


@dataclass(frozen=True)
class StyleGAN2Options(LoopOptions):
    """A training step is an update of the discriminator and one of the generator."""

    DEFAULT_STEPS: ClassVar[int] = 5000

    batch: Annotated[int, Gt(0)] = 64
    """images per training step"""
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    """Adam's rate, for both networks"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.995
    """decay of the averaged weights that sampling uses"""
    width: Annotated[int, Gt(0)] = 32
    """channels at the image's size; each halving has twice as many, up to eight times"""
    latent: Annotated[int, Gt(0)] = 128
    """dimensions of z and w"""
    mapping_layers: Annotated[int, Gt(0)] = 2
    """layers from z to w"""
    r1: Annotated[float, Ge(0)] | None = None
    """γ of the R1 penalty, 0 for no penalty; none for 0.0002 · pixels / batch"""
    path_length: Annotated[float, Ge(0)] | None = None
    """λ of the path length penalty, 0 for no penalty; none for the paper's 1/(log₂ side − 1)"""
    augment: Annotated[float, Interval(ge=0, le=1)] | None = None
    """probability p of each transform of what the discriminator sees, 0 for no transforms; none to adapt p"""
    augment_target: Annotated[float, Interval(gt=-1, lt=1)] | None = None
    """mean sign of D on real images that an adapting p aims at; none for 0.6"""


@register_generator("stylegan2")
class StyleGAN2(Alignable):
    """Class-conditional StyleGAN2 with adaptive discriminator augmentation."""

    paper = "Karras et al. 2020, arXiv 1912.04958; Karras et al. 2020 (ADA), arXiv 2006.06676"
    Options = StyleGAN2Options

    def __init__(
        self, spec: StreamSpec, options: StyleGAN2Options, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "image":
            raise UserError(f"generator 'stylegan2' makes images, not {spec.modality} data")
        if options.augment is not None and options.augment_target is not None:
            raise UserError(
                "generator 'stylegan2': augment_target has no effect on a fixed "
                f"augment={options.augment:g}; leave out one of them"
            )
        self.net = GeneratorNetwork(
            spec.shape, spec.num_classes, options.latent, options.mapping_layers, MAPPING_RATE, options.width
        ).to(device)
        self.averaged = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.critic = Discriminator(spec.shape, spec.num_classes, options.width).to(device)
        target = 0.6 if options.augment_target is None else options.augment_target
        self.augment = AdaptiveAugmentation(options.augment, target).to(device)
        self.path = PathLength().to(device)
        self.batched = BatchedSampling(spec.shape, SAMPLING_BATCH, device, progress)
        _, height, width = spec.shape
        self.r1_weight, self.path_weight = options.r1, options.path_length
        if self.r1_weight is None:
            self.r1_weight = 0.0002 * height * width / options.batch
        if self.path_weight is None:
            self.path_weight = 1 / max(math.log2(max(height, width)) - 1, 1)

    def fit(self, data: Samples) -> None:
        self._train(data, None)

    def fit_aligned(self, data: Samples, classes: tuple[int, ...], weight: float) -> None:
        self._train(data, Alignment(self.averaged, classes, weight, self.device))

    def _train(self, data: Samples, alignment: Alignment | None) -> None:
        what = "generator stylegan2"
        batches = Batches(data, self.spec.augmentation, self.device)
        rate = self.options.learning_rate
        critic_adam = lazy_adam(self.critic, rate, R1_EVERY if self.r1_weight else None)
        maker_adam = lazy_adam(self.net, rate, PATH_EVERY if self.path_weight else None)
        critic = Player(self.critic, critic_adam, f"{what}, discriminator", self.progress)
        maker = Player(self.net, maker_adam, f"{what}, generator", self.progress)
        average = Average(self.net, self.averaged, self.options.ema)
        steps = self.options.steps_for(len(data))
        record = TrainingRecord(what, steps, self.options.batch)
        checkpoint = Checkpoint(
            {**self._modules(), "record": record},
            {"critic": critic_adam, "net": maker_adam},
            self.device,
        )
        previews = Previews(self.options.grid_every, self.sample, data.classes, checkpoint)
        done = checkpoint.restore()
        record.begin(done)
        for step in self.progress.steps(steps, what, done, self.options.batch):
            x, y = batches.draw(self.options.batch)

            critic.plays_against(maker)
            hows = self.augment.draw(x), self.augment.draw(x)
            loss, sign = critic.descend(self._critic_loss, (x, y, *hows, *self.net.draw(len(y), x.device)))
            record.add(step, loss)
            self.augment.adapt(step, sign, len(y))
            if self.r1_weight and step % R1_EVERY == 0:
                critic.descend(self._r1_loss, (x, y, self.augment.draw(x)), R1_TERM)

            maker.plays_against(critic)
            old = alignment.draw(self.net, len(y)) if alignment else ()
            latents = self.net.draw(len(y), x.device)
            maker.descend(partial(self._maker_loss, alignment), (y, self.augment.draw(x), *latents, *old))
            if self.path_weight and step % PATH_EVERY == 0:
                # Half a batch: the penalty needs memory for second derivatives.
                half = y[: (len(y) + 1) // 2]
                _, length = maker.descend(self._path_loss, (half, *self.path.draw(self.net, half)), PATH_TERM)
                self.path.update(length)

            average.update(step)
            previews.after(step + 1)
            checkpoint.save_now_and_then(step + 1)
        record.write(checkpoint)
        checkpoint.remove()
        for player in (critic, maker):
            player.rests()

    # Losses of rows x (n, C, H, W), y (n,) and what is drawn for them: means over rows.

    def _autocast(self) -> torch.autocast:
        bf16 = switched(self.options.bf16, self.device.type == "cuda")
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def _critic_loss(
        self, x: Tensor, y: Tensor, how_fake: Tensor, how_real: Tensor, *latents: Tensor
    ) -> Tensor:
        """(2,): the loss, and the mean sign of D on real images."""
        with self._autocast():
            with torch.no_grad():
                fake = self.net(y, *latents)
            on_fake = self.critic(self.augment(fake, how_fake), y).float()
            on_real = self.critic(self.augment(x, how_real), y).float()
        loss = softplus(on_fake).mean() + softplus(-on_real).mean()
        return torch.stack([loss, on_real.detach().sign().mean()])

    def _r1_loss(self, x: Tensor, y: Tensor, how: Tensor) -> Tensor:
        assert self.r1_weight is not None
        return R1_EVERY * self.r1_weight / 2 * r1(self.critic, self.augment(x, how), y)

    def _maker_loss(self, alignment: Alignment | None, y: Tensor, how: Tensor, *drawn: Tensor) -> Tensor:
        """drawn: latents, then what the alignment drew, as many tensors and its labels."""
        own = 1 + len(self.net.synthesis.noise_shapes)
        with self._autocast():
            on_fake = self.critic(self.augment(self.net(y, *drawn[:own]), how), y)
            held = alignment(self.net, *drawn[own:]) if alignment else 0.0
        return softplus(-on_fake.float()).mean() + held

    def _path_loss(self, y: Tensor, *drawn: Tensor) -> Tensor:
        """(2,): the loss, and the mean length."""
        assert self.path_weight is not None
        penalty, length = self.path(self.net, y, *drawn)
        return torch.stack([PATH_EVERY * self.path_weight * penalty, length])

    @torch.no_grad()
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        return self.batched(labels, self._drawn)

    def _drawn(self, generators: list[torch.Generator], y: Tensor) -> Tensor:
        evaluated(len(y))
        shapes = [(self.options.latent,), *self.averaged.synthesis.noise_shapes]
        return self.averaged(y, *(noise(generators, shape, self.device) for shape in shapes))

    def _modules(self) -> dict[str, nn.Module]:
        """All that training changes."""
        return {
            "net": self.net,
            "averaged": self.averaged,
            "critic": self.critic,
            "augment": self.augment,
            "path": self.path,
        }

    def state_dict(self) -> State:
        state: State = {}
        for name, module in self._modules().items():
            state |= prefixed(name, module.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        for name, module in self._modules().items():
            module.load_state_dict(under(name, state))


class Alignment:
    """weight · E ‖G(z, c) − G′(z, c)‖² over z, noise inputs and `classes`; G′ is a frozen copy of
    `previous`."""

    def __init__(
        self, previous: GeneratorNetwork, classes: tuple[int, ...], weight: float, device: torch.device
    ) -> None:
        self.previous = copy.deepcopy(previous).eval().requires_grad_(False)
        self.classes, self.weight = torch.tensor(classes, device=device), weight

    def draw(self, net: GeneratorNetwork, n: int) -> tuple[Tensor, ...]:
        """c, z and noise inputs of n images."""
        c = self.classes[torch.randint(len(self.classes), (n,), device=self.classes.device)]
        return c, *net.draw(n, c.device)

    def __call__(self, net: GeneratorNetwork, *drawn: Tensor) -> Tensor:
        """The term, a scalar; differentiable in net's weights."""
        difference = net(*drawn).float() - self.previous(*drawn).float()
        return self.weight * difference.square().flatten(1).sum(1).mean()


def lazy_adam(net: nn.Module, learning_rate: float, every: int | None) -> torch.optim.Adam:
    """Adam for a network that is regularised every so many steps, None for never (lazy regularisation)."""
    share = every / (every + 1) if every else 1.0
    betas = (0.0, 0.99**share)
    return torch.optim.Adam(net.parameters(), learning_rate * share, betas, SMALL, fused=True)


def r1(critic: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """E ‖∇_x D(x, y)‖², a scalar, over images x (n, C, H, W); critic: (x, y) to logits (n,)."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x, y).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


class PathLength(nn.Module):
    """E (‖J_wᵀ u‖ − a)² of a generator network; `mean` is a, 0 before the first lengths are known. `update`
    moves it."""

    mean: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.tensor(0.0))

    def draw(self, net: GeneratorNetwork, y: Tensor) -> tuple[Tensor, ...]:
        """u (n, C, H, W), z and noise inputs for images of labels y (n,)."""
        _, height, width = net.synthesis.shape
        u = torch.randn(len(y), *net.synthesis.shape, device=y.device) / math.sqrt(height * width)
        return u, *net.draw(len(y), y.device)

    def forward(
        self, net: GeneratorNetwork, y: Tensor, u: Tensor, z: Tensor, *noises: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The penalty and the mean length, scalars."""
        w = net.mapping(z, y)
        (gradient,) = torch.autograd.grad((net.synthesis(w, *noises) * u).sum(), w, create_graph=True)
        lengths = (gradient.square().sum(1) + SMALL).sqrt()
        now = lengths.detach().mean()
        return (lengths - self._moved(now)).square().mean(), now

    def update(self, length: float) -> None:
        """After a penalty whose mean length this was."""
        self.mean.copy_(self._moved(self.mean.new_tensor(length)))

    def _moved(self, now: Tensor) -> Tensor:
        return torch.where(self.mean == 0, now, torch.lerp(now, self.mean, self.decay))
