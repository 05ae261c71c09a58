"""DDGR as its release trains it, as far as it can be told and should be repeated.

Paper: R. Gao, W. Liu, "DDGR: Continual Learning with Deep Diffusion-based Generative Replay", ICML 2023,
PMLR 202; release v1.1. `ddgr` has the method; what differs here is how it is carried out:

  replay:     20 samples of each old class by 250 ancestral steps of the raw, not averaged, weights;
              mean ← mean + s Σ ∇_{x_t} log softmax_old(C_{t−1}(x_t))[y], on the noisy x_t, s = 1;
              the first 80 % of a class are for training, the rest for validation
  classifier: from the previous weights; a batch of up to 256 real samples beside one of up to 256 replayed
              ones, each side gone through without repeats, the shorter ending the epoch; cross-entropy over
              the classes seen so far; SGD with rate 1e-3, momentum 0.9, decay 5e-4; at most 100 epochs; the
              rate times 0.1 after 5 without improvement, end after more than 10; the best epoch's weights are
              kept
  generator:  from the previous weights; real(new) ∪ replay(old) unbalanced, 15,000 steps with batches of 64,
              rate 1e-4, dropout 0.3, ε-prediction, cosine schedule

Deviations, because what the release does is a fault:
- it swaps red and blue in replay, which it stores as JPEG: here replay is uint8 tensors;
- it selects epochs on the test set: here on validation data of the new classes, cut from the training data,
  and the validation part of the replay, with the arg-max over all classes seen;
- it scores a task among its own classes only: here `class_il` is over all seen, `task_il` is a second figure;
- its network samples without dropout and then trains without, too: here training has it always;
- it trains only the 250 noise levels that it samples: here all;
- its guide reads images without the normalisation that the classifier was trained with: here with it.
Deviations, because the parts are ours:
- its classifier is AlexNet, ImageNet-pretrained unless told otherwise: here AlexNet from scratch unless
  `pretrained=true` is given, which the published rate trains slowly (`classifier_rate`);
- its UNet has 131 M parameters and 64 pixels, 4000 noise levels, a learned variance and a rate that falls to
  zero in a line, clipped nowhere: here `ddpm` with 1000 levels and a fixed variance, a warm-up and a cosine,
  clipped gradients, at the stream's resolution. Take `-o generator.size=large`, and on CIFAR
  `-o resolution=64`, for the nearest;
- x̂ is moved and clipped, from which the sampler takes the mean (see image_diffusion.py); without the clip
  that is the mean moved by s β/√(1 − β) ∇, to first order the paper's Σ;
- the validation data of earlier tasks are gone, as their training data are.
The generator's options are defaults, shown by `cl-bench run --dry-run`; other generators take those they
have. Constants are those noted from the release, not checked against the paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn

from cl_bench import register_strategy
from cl_bench.classifier import ClassifierOptions
from cl_bench.divergence import LossGuard
from cl_bench.mix import training_set
from cl_bench.networks import Network
from cl_bench.samples import Samples, concat, scaled
from cl_bench.strategies.ddgr import DDGR
from cl_bench.stream import Task

MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
DROP_AFTER, STOP_AFTER, DROP = 5, 10, 0.1  # epochs without improvement, and what they do to the rate
TRAINING_SHARE = 0.8  # of a class's replay


@dataclass(frozen=True)
class DDGRReferenceOptions(ClassifierOptions):
    classifier: Network = "alexnet"
    """network of the classifier (release: alexnet, with ImageNet weights)"""
    guidance: Annotated[float, Gt(0)] = 1.0
    """scale s of the classifier's gradient (release: 1)"""
    guide_on: Literal["xt", "x0"] = "xt"
    """what the guide reads: the noisy image, or the denoised estimate"""
    per_class: Annotated[int, Ge(3)] = 20
    """replayed samples per old class, about a fifth of them for validation (release: 20)"""
    classifier_epochs: Annotated[int, Gt(0)] = 100
    """largest number of epochs of the classifier per task (release: 100)"""
    classifier_batch: Annotated[int, Gt(0)] = 256
    """real samples per step of the classifier, and as many replayed ones (release: 256)"""
    classifier_rate: Annotated[float, Gt(0)] = 1e-3
    """SGD's rate (release: 1e-3 for CIFAR)"""


@register_strategy("ddgr-reference")
class DDGRReference(DDGR):
    """DDGR as published: few, unbalanced samples by raw weights, guided on noise; without the release's
    faults."""

    version = 1
    stores = "the replay set, `per_class` samples of each class"
    cost = "15,000 steps of the generator; 250 guided steps for each sample"
    limits = "made for a GPU; old classes weigh little beside new ones, as published; otherwise as ddgr"
    Options = DDGRReferenceOptions
    default_generator = "ddpm"
    generator_defaults: ClassVar[Mapping[str, Any]] = {
        "steps": 15000,
        "batch": 64,
        "learning_rate": 1e-4,
        "dropout": 0.3,
        "prediction": "epsilon",
        "ema": 0.0,
        "sampler": "ancestral",
        "sampling_steps": 250,
    }

    def observe(self, task: Task) -> None:
        new = self._new(task)
        replay = self.replay if self.replay is not None else new[:0]
        old, old_valid = split(replay)
        self._fit_classifier(new, old, concat([task.valid.of(new.classes), old_valid]))
        data = training_set(new, None, old)
        self.generator.fit(data)
        self._finish(new, data)

    def _next_replay(self, new: Samples) -> Samples:
        return self._draw(dict.fromkeys(self.real_counts, self.options.per_class))

    def _fit_classifier(self, new: Samples, old: Samples, valid: Samples) -> None:
        """Train on `new` and `old`, both as far as the shorter goes; keep the epoch that is best on
        `valid`."""
        options, net = self.options, self.classifier.net
        classes = torch.tensor(sorted({*new.classes, *self.seen}), device=self.device)
        optimiser = torch.optim.SGD(
            net.parameters(), options.classifier_rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
        )
        guard = LossGuard("classifier")
        best, waited, kept = -1.0, 0, {}
        for _ in self.progress.steps(options.classifier_epochs, "classifier, epochs"):
            net.train()
            for x, y in self._batches(new, old):
                place = torch.searchsorted(classes, y)
                loss = nn.functional.cross_entropy(net(x)[:, classes], place)
                guard.check(loss)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            net.eval()
            if not len(valid):
                continue
            score = self._accuracy(valid, classes)
            waited = 0 if score > best else waited + 1
            if score > best:
                best, kept = score, {name: value.clone() for name, value in net.state_dict().items()}
            if waited > STOP_AFTER:
                break
            if waited and waited % DROP_AFTER == 0:
                for group in optimiser.param_groups:
                    group["lr"] *= DROP
        if kept:
            net.load_state_dict(kept)

    def _batches(self, new: Samples, old: Samples) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch: images (n, …) float on the device, and labels; real ones before replayed ones."""
        sides = [side for side in (new, old) if len(side)]
        orders = [torch.randperm(len(side)).split(self.options.classifier_batch) for side in sides]
        for picks in zip(*orders, strict=False):
            batch = concat(side[pick] for side, pick in zip(sides, picks, strict=True))
            yield scaled(self.spec.augmentation(batch.x.to(self.device))), batch.y.to(self.device)

    def _accuracy(self, data: Samples, classes: Tensor) -> float:
        """Share of `data` that the arg-max among `classes` gets right."""
        among = classes.cpu()
        guessed = among[self.classifier.predict(data.x)[:, among].argmax(1)]
        return float((guessed == data.y).double().mean())


def split(replay: Samples) -> tuple[Samples, Samples]:
    """The training and the validation part of replay: of each class the first 80 %, and the rest."""
    first = torch.zeros(len(replay), dtype=torch.bool)
    for c, n in replay.counts().items():
        first[torch.nonzero(replay.y == c).flatten()[: round(TRAINING_SHARE * n)]] = True
    return replay[first], replay[~first]
