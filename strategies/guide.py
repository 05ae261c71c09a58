"""GUIDE: while the classifier learns new classes, it rehearses old samples that are near to them.

Paper: B. Cywiński, K. Deja, T. Trzciński, B. Twardowski, Ł. Kuciński, "GUIDE: Guidance-based Incremental
Learning with Diffusion Models", 2024, arXiv 2403.03938. At task t, with the frozen diffusion model of task
t−1 and f, the classifier as it is now, under training:

  rehearsal: samples for labels y uniform over old classes, guided towards the new class that f takes them
             for: c* = arg max_{c new} f(x̂)_c,   ε̂ ← ε̂ − s σ ∇_{x_t} log softmax_seen(f(x̂))[c*],   s = 0.5
             (its main variant, "towards the classes of the current task"; s: CIFAR-100 in 5 tasks)
  classifier: cross-entropy on batches of a share (t−1)/t rehearsal, with labels y, the rest new and real;
             a fresh batch of rehearsal every 10 steps (10 for CIFAR-100, 5 for CIFAR-10 in 5 tasks)
  generator: denoising loss on real(new) ∪ plain, unguided replay(old)

Rehearsal here is made on the way, against our rule that replay is drawn once per task, because what is
sampled depends on a classifier that changes. It costs (classifier_steps / refresh) · (t−1)/t · batch guided
samples a task, each of `guided_steps` evaluations with a pass backwards through the network, about three
times as dear as a plain one: with the defaults at t = 5 some 4,100 samples. The replay that is stored,
judged, and learned by the next generator is the plain one, drawn once.

Deviations: the sampler is the generator's own (published: DDIM, 100 steps for CIFAR-100; the plain replay
1000 ancestral steps), with averaged weights; the optimiser and network of our classifier (published:
ResNet-18 and SGD); the logits of classes not yet seen take part in the cross-entropy, as everywhere here, but
not in the guide; the guide sees the classifier in evaluation mode.
Guide and constants were read in the release: its README and one of its scripts. The share (t−1)/t is from
notes of it; another of its scripts takes one half at every task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.classifier import ClassifierOptions
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.mix import training_set
from cl_bench.samples import Samples
from cl_bench.strategies.replay_strategy import ReplayStrategy
from cl_bench.strategy import Setting
from cl_bench.stream import Task


@dataclass(frozen=True)
class GuideOptions(ClassifierOptions):
    guidance: Annotated[float, Ge(0)] = 0.5
    """scale s of the classifier's gradient (release: 0.2 to 1, 0.5 for CIFAR-100 in 5 tasks); 0 for plain
    samples"""
    refresh: Annotated[int, Gt(0)] = 10
    """classifier steps that share one batch of rehearsal (release: 10 for CIFAR-100)"""
    guided_steps: Annotated[int, Gt(1)] | None = None
    """sampler steps of rehearsal (release: 100 DDIM steps for CIFAR-100); none for the generator's own
    number"""
    classifier_batch: Annotated[int, Gt(1)] = 128
    """samples per classifier step, rehearsal included (release: 256)"""
    classifier_steps: Annotated[int, Gt(0)] = 400
    """training steps of the classifier per task"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guided_steps is not None and not self.guidance:
            raise ValueError("guided_steps has no effect without guidance; leave it out")


@register_strategy("guide")
class GUIDE(ReplayStrategy):
    """Diffusion rehearsal guided towards the new classes by the classifier under training."""

    paper = "Cywiński et al. 2024, GUIDE, arXiv 2403.03938"
    needs = "a generator that can be guided"
    stores = "the replay set"
    cost = "drawing the replay set, and (classifier_steps/refresh) (t−1)/t batch guided samples on the way"
    limits = "takes no loop and no generator that cannot be guided; rehearsal is not what evaluators judge"
    Options = GuideOptions

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.need_new_classes()
        if not self.generator.guidable:
            raise UserError(f"guide: generator {self.generator.name!r} cannot be guided")

    def observe(self, task: Task) -> None:
        options, new = self.options, self._new(task)
        share = 1 - 1 / (task.index + 1)
        self.classifier.fit(
            new,
            self.progress,
            steps=options.classifier_steps,
            batch=options.classifier_batch,
            rehearsal=self._rehearsal(round(share * options.classifier_batch), new.classes),
        )
        # Only now, for rehearsal needs the generator of the task before.
        data = training_set(new, None, self.replay)
        self.generator.fit(data)
        self._finish(new, data)

    def _rehearsal(self, n: int, new: tuple[int, ...]) -> Callable[[int], Samples] | None:
        """Classifier step, from 0, to n guided samples of old classes; None before there are any."""
        if not self.seen:
            return None
        old = torch.tensor(self.seen)
        guide = Guide(
            lambda x, y: self._towards(x, new), self.options.guidance, steps=self.options.guided_steps
        )
        batch = Samples.real(torch.empty(0), torch.empty(0).long())

        def rehearsal(step: int) -> Samples:
            nonlocal batch
            if step % self.options.refresh == 0:
                y = old[torch.randint(len(old), (n,))]
                self.classifier.net.eval()
                x = self.generator.sample(y, guide if guide.scale else None)
                self.classifier.net.train()
                batch = Samples(x, y, y.clone().apply_(self.depth))
            return batch

        return rehearsal

    def _towards(self, x: Tensor, new: tuple[int, ...]) -> Tensor:
        """log softmax over all classes seen, of the likeliest of `new`: (n,), of images x in [−1, 1]."""
        seen = torch.tensor([*self.seen, *new], device=x.device)
        log_prob = self.classifier.net(x)[:, seen].log_softmax(1)
        return log_prob[:, len(self.seen) :].amax(1)
