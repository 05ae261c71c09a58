"""The ResNet GAN with R1: class-conditional, no normalisation, averaged weights.

Paper: L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", 2018
(arXiv 1801.04406). With x̃ = G(z, y), z ~ N(0, I):

  G: E softplus(−D(x̃, y))                                         non-saturating logistic loss
  D: E softplus(D(x̃, y)) + E softplus(−D(x, y)) + c · E ‖∇_x D(x, y)‖²     R1, on real images x only
  Adam(0, 0.99) at 1e-4 for both; a step updates G, then D on the same fakes
  sampling: the generator's averaged weights

The paper writes the penalty γ/2 · E ‖∇D‖² (eq. 9). Its release, and GAN Memory after it, multiply by 10
without the half: γ = 20 in the paper's terms. `r1` is that multiplier, c = γ/2, and 10 by default, as
released. Real images get the releases' noise, uniform from 0 to 1/128, against their 8-bit steps.

Deviations: Adam, and one set of fakes per step, are GAN Memory's; Mescheder et al. use RMSprop and draw fakes
for each network. Fakes of a step have the labels of its real images. The averaged weights have a short memory
at first (`Average`). `r1_every` above 1 is in neither: the penalty is then taken every so many steps, and
times as many, as in Karras et al. 2020 (1912.04958, appendix B), but with Adam's constants unchanged. Under
bf16 the discriminator's work on real images, with the penalty's second derivatives, stays float32. The
default number of steps is far below what was published. Sizes: resnet_gan_networks.py.
Written from the papers and from what the release computes; no code of their authors is used.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.nn.functional import softplus

from cl_bench import register_generator
from cl_bench.checkpoint import Checkpoint
from cl_bench.costs import evaluated
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.generators.player import Player
from cl_bench.generators.resnet_gan_networks import Discriminator, GeneratorNetwork, Size, geometry
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.sampling import BatchedSampling
from cl_bench.seeds import noise
from cl_bench.state import State, prefixed, under
from cl_bench.stream import StreamSpec
from cl_bench.training import Average, Batches, LoopOptions, Switch, switched
from cl_bench.training_record import Previews, TrainingRecord

BETAS = (0.0, 0.99)
GREY_STEP = 1 / 128  # between neighbouring 8-bit values in [−1, 1]
SAMPLING_BATCH = 256


@dataclass(frozen=True)
class ResNetGANOptions(LoopOptions):
    """A training step is an update of the generator and one of the discriminator."""

    DEFAULT_STEPS: ClassVar[int] = 5000

    steps: Annotated[int, Gt(0)] | None = None
    """training steps per task; none for epochs, or, without those, 5,000 (published for GAN Memory:
    60,000)"""
    batch: Annotated[int, Gt(0)] = 64
    """images per training step"""
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    """Adam's rate, for both networks, constant"""
    r1: Annotated[float, Ge(0)] = 10.0
    """multiplier of the squared gradient norm, γ/2 in the paper's terms; 0 for no penalty"""
    r1_every: Annotated[int, Gt(0)] = 1
    """steps between penalties, each then times as many; above 1 is faster and not in the paper"""
    size: Size = "tiny"
    """network: tiny (for CPUs), px32 (10.4 M parameters), px32-wide (33 M), px64 (33 M), px256 (52 M,
    published)"""
    latent: Annotated[int, Gt(0)] = 256
    """dimensions of z"""
    embedding: Annotated[int, Gt(0)] = 256
    """dimensions of a label's embedding, which is concatenated with z"""
    channels_last: Switch = "auto"
    """NHWC memory format; auto: on CUDA"""


@register_generator("resnet-gan")
class ResNetGAN(Generator):
    """Class-conditional ResNet GAN with R1 (Mescheder et al.), the base of GAN Memory."""

    paper = "Mescheder, Geiger, Nowozin 2018, arXiv 1801.04406"
    Options = ResNetGANOptions

    def __init__(
        self, spec: StreamSpec, options: ResNetGANOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "image":
            raise UserError(f"generator 'resnet-gan' makes images, not {spec.modality} data")
        layout = geometry(spec.shape, options.size)
        self.net = GeneratorNetwork(layout, options.latent, spec.num_classes, options.embedding).to(device)
        self.averaged = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.critic = Discriminator(layout, spec.num_classes).to(device)
        self.batched = BatchedSampling(spec.shape, SAMPLING_BATCH, device, progress)

    def fit(self, data: Samples) -> None:
        game = Game("generator resnet-gan", self.options, self.options.latent, self.device, self.progress)
        batches = Batches(data, self.spec.augmentation, self.device)
        game.play(self.net, self.averaged, self.critic, batches, self.sample, data.classes)

    @torch.no_grad()
    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        return self.batched(labels, self._drawn)

    def _drawn(self, generators: list[torch.Generator], y: Tensor) -> Tensor:
        evaluated(len(y))
        return self.averaged(noise(generators, (self.options.latent,), self.device), y)

    def _modules(self) -> dict[str, nn.Module]:
        return {"net": self.net, "averaged": self.averaged, "critic": self.critic}

    def state_dict(self) -> State:
        state: State = {}
        for name, module in self._modules().items():
            state |= prefixed(name, module.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        for name, module in self._modules().items():
            module.load_state_dict(under(name, state))


@dataclass(frozen=True)
class Game:
    """The training of a generator against a discriminator; GAN Memory plays it with styles."""

    what: str
    options: ResNetGANOptions
    latent: int
    device: torch.device
    progress: Progress

    def play(
        self,
        net: nn.Module,
        averaged: nn.Module,
        critic: nn.Module,
        batches: Batches,
        sample: Callable[[Tensor], Tensor],
        classes: tuple[int, ...],
        penalty: Callable[[int], Tensor | None] = lambda step: None,
        another_follows: bool = False,
    ) -> None:
        """Train in place what `net` and `critic` have of parameters; keep `averaged` as the moving average.

        net: (z (n, latent), y (n,)) to images. critic: (images, y) to logits (n,). sample: labels to images,
        for grids of samples of `classes`. penalty: step, from 0, to what is added to G's loss.
        another_follows: another training of the same task does, so that a killed task must find this one's
        end on disk. Raises TrainingDiverged.
        """
        options = self.options
        steps = options.steps_for(len(batches.y))
        maker, judge = (
            Player(
                one,
                torch.optim.Adam(one.parameters(), options.learning_rate, BETAS, fused=True),
                f"{self.what}, {name}",
                self.progress,
            )
            for one, name in ((net, "generator"), (critic, "discriminator"))
        )
        average = Average(net, averaged, options.ema)
        record = TrainingRecord(self.what, steps, options.batch)
        checkpoint = Checkpoint(
            {"net": net, "averaged": averaged, "critic": critic, "record": record},
            {"net": maker.optimiser, "critic": judge.optimiser},
            self.device,
        )
        previews = Previews(options.grid_every, sample, classes, checkpoint)
        on_cuda = self.device.type == "cuda"
        bf16 = switched(options.bf16, on_cuda)
        layout = torch.channels_last if switched(options.channels_last, on_cuda) else torch.contiguous_format
        for module in (net, averaged, critic):
            module.to(memory_format=layout)

        def maker_loss(y: Tensor, z: Tensor, fakes: Tensor, *, step: int) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                fake = net(z, y)
                on_fake = critic(fake, y)
            fakes.copy_(fake.detach())
            loss = softplus(-on_fake.float()).mean()
            extra = penalty(step)
            return loss if extra is None else loss + extra

        def judge_loss(x: Tensor, y: Tensor, fakes: Tensor, *, step: int) -> Tensor:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                on_fake = critic(fakes, y)
            regularised = options.r1 > 0 and step % options.r1_every == 0
            on_real, gradient = logits_and_r1(critic, x, y, regularised)
            loss = softplus(on_fake.float()).mean() + softplus(-on_real).mean()
            return loss if gradient is None else loss + options.r1_every * options.r1 * gradient

        done = checkpoint.restore()
        record.begin(done)
        for step in self.progress.steps(steps, self.what, done, options.batch):
            x, y = batches.draw(options.batch)
            x = (x + GREY_STEP * torch.rand_like(x)).contiguous(memory_format=layout)
            z = torch.randn(len(y), self.latent, device=self.device)
            fakes = torch.empty_like(x)  # G fills its rows, and D is shown the same

            maker.plays_against(judge)
            maker.descend(partial(maker_loss, step=step), (y, z, fakes))
            judge.plays_against(maker)
            (loss,) = judge.descend(partial(judge_loss, step=step), (x, y, fakes))
            record.add(step, loss)

            average.update(step)
            previews.after(step + 1)
            checkpoint.save_now_and_then(step + 1)
        record.write(checkpoint)
        if another_follows:
            checkpoint.save(steps)
        else:
            checkpoint.remove()
        for player in (maker, judge):
            player.rests()


def logits_and_r1(
    critic: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, regularised: bool = True
) -> tuple[Tensor, Tensor | None]:
    """D(x, y), (n,), and E ‖∇_x D(x, y)‖² over the images x (n, C, H, W), a scalar without any factor; None
    for it unless `regularised`."""
    if not regularised:
        return critic(x, y), None
    x = x.detach().requires_grad_()
    logits = critic(x, y)
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return logits, gradient.square().flatten(1).sum(1).mean()
