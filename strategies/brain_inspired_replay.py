"""Brain-inspired replay (BI-R): the classifier replays hidden representations through its own feedback.

Paper: G. M. van de Ven, H. T. Siegelmann, A. S. Tolias 2020, "Brain-inspired replay for continual learning
with artificial neural networks", Nature Communications 11:4069. After task 1, every training step takes one
batch of new data and one that a frozen copy of the network, as it was after the previous task, generates and
labels. At task t:

  loss = 1/t L(new) + (1 − 1/t) L(replay)
  L(new)    = recon(x) + KL(q(z | x) ‖ N(μ_y, σ_y²))/d + cross-entropy(softmax(x), y)
  L(replay) = recon(x') + KL(q(z | x') ‖ Σ_c p_c N(μ_c, σ_c²))/d − T² Σ_c p_c ln softmax_c(logits(x')/T)
  x' = decoder_old(z, y'),  z ~ N(μ_y', σ_y'²),  y' uniform over old classes
  p  = softmax(logits_old(x')/T) over the old classes, 0 for others,  T = 2

recon is the mean over the d inputs of the network (binary cross-entropy of pixels, half the squared error of
features); the softmax is taken over the classes seen so far. Five parts, each with a switch:

- replay through feedback (`feedback`): generator and classifier share the encoder; off, they are two
  networks;
- conditional replay (`conditional`): the prior has one Gaussian per class, learned; off, N(0, I);
- gating based on internal context (`gating`): per class a random, fixed share of the decoder's hidden units
  is off; 0 for none;
- internal replay (`features`): frozen convolutional layers come first, and their outputs are replayed;
- distillation (`distillation`): the old network's soft labels; off, its hard ones with cross-entropy.

Constants are those of the authors' release for split MNIST, class-incremental (in brackets CIFAR-100, where
others): 2 hidden layers of 400 units (2,000), 100 latent dimensions, Adam with rate 1e-3 (1e-4), batches of
128 new and 128 replayed samples (256), 2,000 steps a task (5,000), gates 0.8 (0.7), T = 2. They were read in
that code (MIT licence), not in the paper's Methods, which could not be had here.

Deviations: the paper pre-trains the convolutional layers on CIFAR-10 before CIFAR-100; here they are trained
on the first task (`task0`), so that no other data come in, unless a file is given. KL is in closed form where
the class is known; the release estimates it from one sample. KL is divided by the number d of inputs of the
network; the release divides by the number of pixels at internal replay, too. Exactly the given share of
units is gated; the release draws each unit. Adam's moments begin anew with each task. With features=pixels
colour images are decoded by the same fully connected layers; the release has deconvolutions. The
combination with synaptic intelligence (BI-R + SI) is left out.

Replay is drawn afresh for each step, as in the paper, so there is no stored replay set; samples to judge are
drawn from the network that the next task's copies are made of.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Tensor, nn

from cl_bench import register_strategy
from cl_bench.checkpoint import Checkpoint
from cl_bench.divergence import LossGuard
from cl_bench.errors import UserError
from cl_bench.networks import MLP_LIMIT
from cl_bench.samples import to_uint8
from cl_bench.seeds import noise, per_sample
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategies.brain_inspired_network import BrainInspiredNetwork, distillation, soft_targets
from cl_bench.strategies.frozen_features import PREFIX, FrozenFeatures
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import StreamSpec, Task
from cl_bench.training_record import TrainingRecord

SAMPLING_BATCH = 1024
FEATURE_STEPS = 1000
TEMPERATURE = 2.0  # of distillation, in the release


@dataclass(frozen=True)
class BrainInspiredReplayOptions:
    feedback: bool = True
    """replay through feedback: generator and classifier share the encoder; false for two networks"""
    conditional: bool = True
    """conditional replay: a learned Gaussian of the latent space for each class; false for N(0, I)"""
    gating: Annotated[float, Interval(ge=0, lt=1)] = 0.8
    """share of the decoder's hidden units that is off for a class; 0 for no gates (release: 0.8 split MNIST,
    0.7 CIFAR-100)"""
    features: str = "auto"
    """what is replayed: pixels (or vectors as they are); task0, outputs of convolutions trained on the first
    task and frozen; a safetensors file with such convolutions; auto: pixels for small grey images, else
    task0"""
    distillation: bool = True
    """replay with the previous network's soft labels; false for its hard ones"""
    temperature: Annotated[float, Gt(0)] | None = None
    """T of distillation; none for 2 (release)"""
    steps: Annotated[int, Gt(0)] = 2000
    """training steps per task (release: 2,000 split MNIST, 5,000 CIFAR-100)"""
    batch: Annotated[int, Gt(0)] = 128
    """new samples per step, and as many replayed ones (release: 128 split MNIST, 256 CIFAR-100)"""
    learning_rate: Annotated[float, Gt(0)] = 1e-3
    """Adam's rate (release: 1e-3 split MNIST, 1e-4 CIFAR-100)"""
    hidden: Annotated[int, Gt(0)] = 400
    """units of each hidden layer (release: 400 split MNIST, 2,000 CIFAR-100)"""
    latent: Annotated[int, Gt(0)] = 100
    """dimensions of the latent space"""
    feature_steps: Annotated[int, Gt(0)] | None = None
    """training steps of the convolutions with features=task0; none for 1,000"""

    def __post_init__(self) -> None:
        if self.temperature is not None and not self.distillation:
            raise ValueError(f"temperature={self.temperature:g} has no effect with distillation=false")


@register_strategy("brain-inspired-replay")
class BrainInspiredReplay(Strategy):
    """A classifier that replays what it saw through its own feedback connections (BI-R).

    Generative with features=pixels only: replay of hidden features has no images to judge, and without
    conditional replay and gates no class can be asked for. Accuracy is measured always.
    """

    paper = "van de Ven, Siegelmann, Tolias 2020, Nature Communications 11:4069"
    stores = "nothing; while training, a frozen copy of the network"
    cost = "in each step a batch drawn and labelled by that copy"
    limits = "takes no text; where it replays features there are no samples to judge, only accuracy"
    uses_generator = False
    Options = BrainInspiredReplayOptions

    def __init__(self, setting: Setting, options: BrainInspiredReplayOptions) -> None:
        super().__init__(setting, options)
        if self.spec.modality == "text":
            raise UserError("brain-inspired-replay takes images or vectors, not text")
        self.source = features_for(options.features, self.spec)
        if self.source != "task0" and options.feature_steps is not None:
            raise UserError(f"feature_steps has no effect on features={self.source}; leave it out")
        self.features: FrozenFeatures | None = None
        inputs = math.prod(self.spec.shape)
        if self.source != "pixels":
            self.features = FrozenFeatures(self.spec, self.device)
            inputs = self.features.size
            if self.source != "task0":
                self.features.load_file(Path(self.source))
        self.net = BrainInspiredNetwork(
            inputs,
            self.spec.num_classes,
            options.hidden,
            options.latent,
            options.feedback,
            options.conditional,
            options.gating,
            binary=self.features is None and self.spec.modality == "image",
        ).to(self.device)
        self.net.eval()
        self.temperature = options.temperature or TEMPERATURE
        self.depths: dict[int, int] = {}

    @property
    def generative(self) -> bool:
        return self.features is None and (self.options.conditional or self.options.gating > 0)

    def observe(self, task: Task) -> None:
        options = self.options
        new = task.train.of([c for c in task.classes if c not in self.depths])
        if self.source == "task0" and not self.depths and self.features is not None:
            what = "frozen convolutions"
            self.features.fit(new, self.progress, what, options.feature_steps or FEATURE_STEPS, options.batch)
        old = sorted(self.depths)
        previous = copy.deepcopy(self.net).requires_grad_(False) if old else None
        seen = torch.tensor(sorted({*old, *new.classes}), device=self.device)

        optimiser = torch.optim.Adam(self.net.parameters(), options.learning_rate, fused=True)
        guard = LossGuard(self.name)
        record = TrainingRecord(self.name, options.steps, options.batch)
        modules = {"net": self.net, "record": record}
        if self.features is not None:
            # A killed task trains them once more, on a GPU not quite to the same ones.
            modules["features"] = self.features.body
        checkpoint = Checkpoint(modules, {"net": optimiser}, self.device)
        done = checkpoint.restore()
        x, y = self._inputs(new.x).to(self.device), new.y.to(self.device)
        record.begin(done)
        for step in self.progress.steps(options.steps, self.name, done, options.batch):
            of_new = of_replay = None
            if len(y):
                pick = torch.randint(len(y), (options.batch,), device=self.device)
                labels = nn.functional.one_hot(y[pick], self.spec.num_classes).float()
                of_new = self.loss(x[pick], labels, seen, known=True)
            if previous is not None:
                inputs, targets = self.replayed(previous, torch.tensor(old, device=self.device))
                of_replay = self.loss(inputs, targets, seen, known=not options.distillation)
            total = weighted(of_new, of_replay, task.index + 1)
            record.add(step, guard.check(total))
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            checkpoint.save_now_and_then(step + 1)
        record.write(checkpoint)
        checkpoint.remove()

        self.depths = {c: depth + 1 for c, depth in self.depths.items()} | dict.fromkeys(new.classes, 1)

    @torch.no_grad()
    def replayed(self, previous: BrainInspiredNetwork, old: Tensor) -> tuple[Tensor, Tensor]:
        """A batch that the `previous` network makes of its classes `old`: inputs (n, d), and its labels of
        them as probabilities (n, num_classes), soft or one-hot."""
        n = self.options.batch
        y = old[torch.randint(len(old), (n,), device=self.device)]
        x = previous.generate(y, torch.randn(n, self.options.latent, device=self.device))
        logits = previous.classify(x)
        if self.options.distillation:
            return x, soft_targets(logits, old, self.temperature)
        hard = old[logits[:, old].argmax(1)]
        return x, nn.functional.one_hot(hard, self.spec.num_classes).float()

    def loss(self, x: Tensor, p: Tensor, seen: Tensor, known: bool) -> Tensor:
        """Mean loss of inputs (n, d) with class probabilities p (n, num_classes): one-hot where the class is
        `known`, else targets of distillation. seen: the classes of the softmax."""
        epsilon = torch.randn(len(x), self.options.latent, device=self.device)
        out, logits, mean, log_variance, z = self.net(x, p, epsilon)
        reconstruction = self.net.reconstruction(out, x)
        divergence = self.net.divergence(mean, log_variance, z, p, known) / x.shape[1]
        temperature = 1.0 if known else self.temperature
        prediction = distillation(logits[:, seen], p[:, seen], temperature)
        return (reconstruction + divergence + prediction).mean()

    def _inputs(self, x: Tensor) -> Tensor:
        """What the network takes, (n, d) float32: frozen features, pixels in [0, 1], or vectors."""
        if self.features is not None:
            return self.features.features(x)
        x = x.flatten(1).float()
        return x / 255 if self.net.binary else x

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        parts = [self.net.classify(self._inputs(part).to(self.device)) for part in x.split(SAMPLING_BATCH)]
        return torch.cat(parts).cpu()

    @torch.no_grad()
    def sample(self, labels: Tensor) -> Tensor:
        if not self.generative:
            return super().sample(labels)
        generators, parts = per_sample(len(labels)), [torch.empty(0, *self.spec.shape)]
        for begin in range(0, len(labels), SAMPLING_BATCH):
            now = slice(begin, begin + SAMPLING_BATCH)
            epsilon = noise(generators[now], (self.options.latent,), self.device)
            x = self.net.generate(labels[now].to(self.device), epsilon)
            parts.append(x.view(-1, *self.spec.shape).cpu())
        made = torch.cat(parts)
        return to_uint8(2 * made - 1) if self.net.binary else made

    def depth(self, c: int) -> int:
        return self.depths[c]

    def state_dict(self) -> State:
        state = prefixed("net", self.net.state_dict()) | from_numbers("depths", self.depths)
        if self.features is not None:
            state |= prefixed(PREFIX, self.features.state_dict())
        return state

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(under("net", state))
        self.depths = to_numbers("depths", state)
        if self.features is not None:
            self.features.load_state_dict(under(PREFIX, state))


def features_for(features: str, spec: StreamSpec) -> str:
    """What is replayed, by the option: "pixels", "task0" or a file. Raises UserError for none of these, and
    for convolutions of what is no image."""
    image = spec.modality == "image"
    if features == "auto":
        small = image and spec.shape[0] == 1 and math.prod(spec.shape) <= MLP_LIMIT
        return "pixels" if small or not image else "task0"
    if features == "pixels":
        return features
    if not image:
        raise UserError(f"features={features} takes images, not {spec.modality} data; choose pixels or auto")
    if features != "task0" and not Path(features).is_file():
        raise UserError(f"features={features} is neither auto, pixels, task0 nor a safetensors file")
    return features


def weighted(of_new: Tensor | None, of_replay: Tensor | None, t: int) -> Tensor:
    """1/t L(new) + (1 − 1/t) L(replay) at task t, from 1; alone, either counts in full."""
    if of_new is None or of_replay is None:
        alone = of_replay if of_new is None else of_new
        assert alone is not None
        return alone
    return of_new / t + (1 - 1 / t) * of_replay
