"""GAN Memory: one frozen GAN, and for each task a small style that turns it into that task's generator.

Paper: Y. Cong, M. Zhao, J. Li, S. Wang, L. Carin, "GAN Memory with No Forgetting", NeurIPS 2020 (arXiv
2006.07543). The modulation is in cl_bench/generators/style_modulation.py, the GAN in resnet_gan.py.

  base:        a GAN without classes, trained once and frozen
  task t:      a new style of the base's generator, with a bias for each class, and one of its discriminator,
               both from the base's own, trained on the task's real data; the discriminator is then discarded,
               the moving average of the generator's style is stored
  classifier:  cross-entropy on real(new) ∪ replay(old), each earlier task weighing as much as the new one

Nothing ever trains on its own samples: all replay has depth 1, and a stored style never changes, so that a
task is replayed after any number of others as it was after its own, bit for bit. Only the classifier can
forget.

Base: the paper's is trained on CelebA, 256×256 faces. `base=task0` trains it on the first task's real data,
which costs nothing but time. `base=folder:PATH` trains it on other images, and `base=PATH` takes a resnet-gan
from a run or a safetensors file: both are external data. The choice is in a run's manifest.

Deviations: the generators of all tasks are not trained before the classifier, but one with each task, which
changes neither. The classifier is ours (cl_bench/classifier.py), from scratch, not an ImageNet-pretrained
ResNet-18. Its batches have a fixed size, shared by the tasks, where the paper's grow with them. Replay is
drawn once per task, not for each batch, and augmented as real data are. The paper's replay takes the same
noise for all tasks; here each image has its own. With compression the release takes R1 on every second step,
here on each. A stream whose tasks repeat the same classes is refused: each class has one style, learned from
real data when it comes, so that from the second task on there would be nothing to learn.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.classifier import ClassifierOptions
from cl_bench.costs import evaluated
from cl_bench.errors import UserError
from cl_bench.generators.resnet_gan import SAMPLING_BATCH, Game, ResNetGANOptions
from cl_bench.generators.resnet_gan_networks import Discriminator, GeneratorNetwork, Size, geometry
from cl_bench.generators.style_modulation import (
    MASS,
    PENALTY_EVERY,
    FrozenBase,
    FrozenGenerator,
    StyleBank,
    StyledDiscriminator,
)
from cl_bench.images import decode, image_files
from cl_bench.mix import training_set
from cl_bench.samples import Samples, labels_for
from cl_bench.sampling import BatchedSampling
from cl_bench.seeds import noise
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task
from cl_bench.training import Batches, Switch
from cl_bench.transfer import saved_generator

TASK0, FOLDER = "task0", "folder:"
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class GANMemoryOptions(ClassifierOptions):
    base: str = TASK0
    """what the frozen GAN knows: task0 for the first task's real data; folder:PATH for images to train it on,
    or a run or safetensors file with a resnet-gan, both external data"""
    base_steps: Annotated[int, Gt(0)] | None = None
    """training steps of the base; none for as many as a style's"""
    steps: Annotated[int, Gt(0)] = 5000
    """training steps of a task's style (paper: 60,000)"""
    classifier_steps: Annotated[int, Gt(0)] = 400
    """training steps of the classifier per task"""
    balance: Literal["tasks", "union"] = "tasks"
    """how the classifier draws: from each task alike, and from a replayed task's classes alike (paper), or
    from all samples alike"""
    per_class: Annotated[int, Gt(0)] | None = None
    """replayed samples per old class; none for as many as it had real ones"""
    batch: Annotated[int, Gt(0)] = 64
    """images per training step of the GAN (paper: 16)"""
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    """Adam's rate, for both networks of the GAN, constant"""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.999
    """decay of the averaged styles that are stored"""
    r1: Annotated[float, Ge(0)] = 10.0
    """multiplier of the squared gradient norm, γ/2 in Mescheder et al.'s terms; 0 for no penalty"""
    r1_every: Annotated[int, Gt(0)] = 1
    """steps between penalties, each then times as many; above 1 is faster and not in the paper"""
    size: Size = "tiny"
    """network: tiny (for CPUs), px32 (10.4 M parameters), px32-wide (33 M), px64 (33 M), px256 (52 M,
    published)"""
    latent: Annotated[int, Gt(0)] = 256
    """dimensions of z"""
    compress: bool = False
    """store styles of wide convolutions by columns that tasks share; each task then begins with the previous
    style"""
    kept_mass: Annotated[float, Interval(gt=0, le=1)] | None = None
    """with compress, share of the singular values kept, of all convolutions; none for the published 0.95,
    0.9, 0.8 at 256, 512, 1024 output channels, and narrower ones whole"""
    rank_penalty: Annotated[float, Ge(0)] | None = None
    """with compress, weight of the penalty on singular values; none for 0.01"""
    grid_every: Annotated[int, Ge(0)] = 0
    """steps between sample grids in the task's folder; 0 for none"""
    bf16: Switch = "auto"
    """bfloat16 autocast; auto: on CUDA"""
    channels_last: Switch = "auto"
    """NHWC memory format; auto: on CUDA"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kept_mass", "rank_penalty"):
            value = getattr(self, name)
            if value is not None and not self.compress:
                raise ValueError(f"{name}={value:g} has no effect without compress=true")
        if self.base_steps is not None and self.trained_elsewhere:
            raise ValueError(
                f"base_steps={self.base_steps} has no effect on base={self.base}, which is trained already"
            )

    @property
    def trained_elsewhere(self) -> bool:
        """Whether the base is read from a file."""
        return self.base != TASK0 and not self.base.startswith(FOLDER)

    def gan(self, steps: int) -> ResNetGANOptions:
        """Those of a GAN that is trained for so many steps; the base's one label takes one dimension."""
        network = ("size", "latent", "bf16", "channels_last")
        names = ("batch", "learning_rate", "ema", "r1", "r1_every", "grid_every", *network)
        return ResNetGANOptions(steps=steps, embedding=1, **{name: getattr(self, name) for name in names})


@register_strategy("gan-memory")
class GANMemory(Strategy):
    """A frozen GAN with a style per task: replay that never changes, of depth 1."""

    paper = "Cong, Zhao, Li, Wang, Carin 2020, GAN Memory with No Forgetting, NeurIPS, arXiv 2006.07543"
    needs = "images; it has a GAN of its own; external data unless base=task0"
    stores = "the frozen GAN, a style per task, the replay set"
    cost = "training a style, and before the first task the base; drawing the replay set, once a task"
    limits = "images only, no loop; a task unlike the base is learned less well"
    uses_generator = False
    Options = GANMemoryOptions

    def __init__(self, setting: Setting, options: GANMemoryOptions) -> None:
        super().__init__(setting, options)
        if self.spec.modality != "image":
            raise UserError(f"strategy 'gan-memory' replays images, not {self.spec.modality} data")
        if self.spec.stationary:
            raise UserError(
                "strategy 'gan-memory' learns each class once, from real data, and here every task repeats "
                "them: nothing would be left to learn; choose a benchmark whose tasks bring new classes"
            )
        self.geometry = geometry(self.spec.shape, options.size)
        widest, least = max(self.geometry.widths[1:]), MASS[-1][0]
        if options.compress and options.kept_mass is None and widest < least:
            raise UserError(
                f"strategy 'gan-memory': compress has nothing to compress at size={options.size}, whose "
                f"widest convolution has {widest} output channels of {least}; choose a larger size, or give "
                "kept_mass"
            )
        self.classifier = options.new_classifier(self.spec, self.device)
        self.batched = BatchedSampling(self.spec.shape, SAMPLING_BATCH, self.device, self.progress)
        self.task_of: dict[int, int] = {}
        self.real_counts: dict[int, int] = {}
        # From the first task on: the base's networks, and the styles over them.
        self.net: GeneratorNetwork | None = None
        self.critic: Discriminator | None = None
        self.bank: StyleBank | None = None

    @property
    def generative(self) -> bool:
        return True

    def observe(self, task: Task) -> None:
        if self.bank is None:
            self._begin_with(task.train)
        self._learn_style(task)

        data = training_set(task.train, None, self.replay)
        weights = self._weights(len(task.train), data.y)
        self.classifier.fit(data, self.progress, steps=self.options.classifier_steps, weights=weights)

        self.real_counts |= task.train.counts()
        per_class = self.options.per_class
        wanted = {c: n if per_class is None else per_class for c, n in self.real_counts.items()}
        y = labels_for(wanted)
        with self.progress.phase(f"replay: {len(y)} samples"):
            self.replay = Samples(self.sample(y), y, torch.ones_like(y))

    # The base.

    def _begin_with(self, real: Samples) -> None:
        """Make the base. real: the first task's data."""
        base = self.options.base
        if self.options.trained_elsewhere:
            self.progress.say(f"gan-memory: the base is {base}, external data")
            saved = saved_generator(base)
            if not {"averaged.label.weight", "critic.fc.weight"} <= saved.keys():
                raise UserError(f"base={base} holds no resnet-gan")
            try:
                self._freeze(*self._networks(saved))
            except RuntimeError as error:
                detail = str(error).splitlines()[-1].strip()
                sizes = f"size={self.options.size} and latent={self.options.latent}"
                raise UserError(f"base={base} does not fit {sizes}: {detail}") from None
            return
        x = real.x
        if base != TASK0:
            x = self._images(Path(base.removeprefix(FOLDER)).expanduser())
            self.progress.say(f"gan-memory: the base is trained on {len(x)} images of {base}, external data")
        options = self.options.gan(self.options.base_steps or self.options.steps)
        net = GeneratorNetwork(self.geometry, options.latent, 1, options.embedding).to(self.device)
        averaged = copy.deepcopy(net).requires_grad_(False)
        critic = Discriminator(self.geometry, 1).to(self.device)
        batches = Batches(Samples.real(x, torch.zeros(len(x)).long()), self.spec.augmentation, self.device)
        game = Game("gan-memory, base", options, options.latent, self.device, self.progress)
        game.play(
            net,
            averaged,
            critic,
            batches,
            lambda labels: self._drawn(averaged, labels),
            (0,),
            another_follows=True,
        )
        self._freeze(averaged, critic)

    def _networks(self, saved: State) -> tuple[GeneratorNetwork, Discriminator]:
        """Networks with `saved` weights. Raises RuntimeError when they do not fit."""
        net = GeneratorNetwork(self.geometry, self.options.latent, *saved["averaged.label.weight"].shape)
        critic = Discriminator(self.geometry, len(saved["critic.fc.weight"]))
        net.load_state_dict(under("averaged", saved))
        critic.load_state_dict(under("critic", saved))
        return net.to(self.device), critic.to(self.device)

    def _freeze(self, net: GeneratorNetwork, critic: Discriminator) -> None:
        self.net, self.critic = net, critic
        self.frozen_critic = FrozenBase(critic.body)
        self.bank = StyleBank(FrozenGenerator(net), self.options.compress, self.options.kept_mass)

    def _images(self, folder: Path) -> Tensor:
        """All images below `folder` as the stream's: (n, *spec.shape) uint8, cropped and resized, grey where
        the stream is."""
        channels, height, width = self.spec.shape
        if channels not in (1, 3):
            raise UserError(
                f"base={self.options.base}: images are grey or RGB; this stream has {channels} channels"
            )
        files = image_files(folder)
        if not files:
            raise UserError(f"base={self.options.base}: no images below {folder}")
        side = max(height, width)
        x = decode(files, side)
        top, left = (side - height) // 2, (side - width) // 2
        x = x[:, :, top : top + height, left : left + width]
        if channels == 1:
            x = (x * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True).round().to(torch.uint8)
        return x.contiguous()

    # Styles.

    def _learn_style(self, task: Task) -> None:
        assert self.bank is not None
        places = self._places(task.classes)
        y = places[task.train.y]
        net, averaged = self.bank.first(len(task.classes)), self.bank.first(len(task.classes))
        critic = StyledDiscriminator(self.frozen_critic, len(task.classes)).to(self.device)
        options = self.options.gan(self.options.steps)
        game = Game("gan-memory, style", options, options.latent, self.device, self.progress)
        weight = 0.01 if self.options.rank_penalty is None else self.options.rank_penalty

        def penalty(step: int) -> Tensor | None:
            due = self.options.compress and weight > 0 and step % PENALTY_EVERY == 0
            sizes = net.penalty() if due else None
            return None if sizes is None else weight * sizes

        game.play(
            net,
            averaged,
            critic,
            Batches(Samples.real(task.train.x, y), self.spec.augmentation, self.device),
            lambda labels: self._drawn(averaged, labels),
            tuple(range(len(task.classes))),
            penalty,
        )
        self.bank.keep(averaged)
        self.task_of |= dict.fromkeys(task.classes, len(self.bank) - 1)

    def _places(self, classes: tuple[int, ...]) -> Tensor:
        """Label to place among a task's `classes`, ascending: (num_classes,), −1 for others."""
        places = torch.full((self.spec.num_classes,), -1)
        places[sorted(classes)] = torch.arange(len(classes))
        return places

    @torch.no_grad()
    def _drawn(self, net: torch.nn.Module, labels: Tensor) -> Tensor:
        """Images by `net` for its own labels (n,)."""
        latent = (self.options.latent,)

        def drawn(generators: list[torch.Generator], y: Tensor) -> Tensor:
            evaluated(len(y))
            return net(noise(generators, latent, self.device), y)

        return self.batched(labels, drawn)

    def sample(self, labels: Tensor) -> Tensor:
        assert self.bank is not None
        x = torch.empty(len(labels), *self.spec.shape, dtype=torch.uint8)
        tasks = torch.tensor([self.task_of[c] for c in labels.tolist()])
        # Oldest task first: what later tasks are asked for changes no number that earlier ones draw.
        for task in range(len(self.bank)):
            pick = tasks == task
            if pick.any():
                classes = tuple(c for c, t in self.task_of.items() if t == task)
                x[pick] = self._drawn(self.bank.folded(task), self._places(classes)[labels[pick]])
        return x

    # The classifier.

    def _weights(self, new: int, y: Tensor) -> Tensor | None:
        """How often each sample, the first `new` of them new, is drawn; None for all alike."""
        if self.options.balance == "union":
            return None
        weights = torch.full((len(y),), 1 / new)
        old = y[new:]
        if len(old):
            per_class = old.bincount(minlength=self.spec.num_classes)
            tasks = torch.tensor([self.task_of.get(c, -1) for c in range(self.spec.num_classes)])
            classes = torch.tensor([(tasks[old.unique()] == t).sum() for t in range(len(self.task_of))])
            weights[new:] = 1 / (classes[tasks[old]] * per_class[old])
        return weights

    def predict(self, x: Tensor) -> Tensor:
        return self.classifier.predict(x)

    def latent(self, x: Tensor) -> Tensor:
        return self.classifier.features(x)

    def state_dict(self) -> State:
        state = prefixed("classifier", self.classifier.state_dict())
        if self.net is not None and self.critic is not None and self.bank is not None:
            # The base as a resnet-gan's: another run can take it.
            generator = prefixed("averaged", self.net.state_dict())
            generator |= prefixed("critic", self.critic.state_dict())
            generator |= prefixed("style", self.bank.state_dict())
            state |= prefixed("generator", generator)
        return state | from_numbers("task_of", self.task_of) | from_numbers("real_counts", self.real_counts)

    def load_state_dict(self, state: State) -> None:
        self.classifier.load_state_dict(under("classifier", state))
        saved = under("generator", state)
        if saved:
            self._freeze(*self._networks(saved))
            assert self.bank is not None
            self.bank.load_state_dict(under("style", saved))
        self.task_of = to_numbers("task_of", state)
        self.real_counts = to_numbers("real_counts", state)
