"""DDGR: a diffusion model guided by the classifier replays old classes.

Paper: R. Gao, W. Liu, "DDGR: Continual Learning with Deep Diffusion-based Generative Replay", ICML 2023,
PMLR 202. Before task t the frozen classifier of task t−1 instructs the frozen diffusion model of task t−1
(the paper's instruct-operator: classifier guidance) to make labelled samples of all old classes; then
both networks are trained further, from their present weights, on new real data and that replay.

  replay:     ε̂ ← ε̂ − s √(1−ᾱ_t) ∇_{x_t} log softmax_old(C_{t−1}(x̂))[y]
  classifier: cross-entropy on real(new) ∪ replay(old)
  generator:  denoising loss on real(new) ∪ replay(old)

Options beyond the paper, each a question that its users ask:
  labels      requested: y as above; hard: arg max_old C(x) of the classifier that a sample was drawn under;
              soft: the classifier learns softmax_old(C_{t−1}(x)), the generator the requested label
  balance     balanced: the replay of a class is repeated until it is as large as the class once was, where it
              is smaller; as-is: it weighs as much as it has samples
  weighting   union: all samples alike; task: (1/t) L(new) + (1 − 1/t) L(old), t tasks seen, by repeating the
              side that weighs too little
  resample    every_task: all replay is drawn anew by the newest generator; once: the replay of a class is
              drawn at the end of the task that brought it, and kept, so that its depth stays 1

Deviations from the published release, at the size of this generator (`ddgr-reference` is nearer to it): the
guide reads the denoised image x̂, not the noisy x_t, which it was never trained on (`guide_on=xt` for that);
sampling uses averaged weights; the replay of a class is as large as its real set (`per_class` for another
number; published: 20), so that the union is balanced; nothing is selected on test data; replay stays uint8 in
memory, never JPEG. The replay of task t is drawn at the end of task t−1, from the same frozen networks. The
classifier is the project's, without ImageNet's weights unless `pretrained=true`; it learns by AdamW for a
fixed number of steps, with cross-entropy over all classes of the stream, not those seen so far; it reads
replay, in training and as a guide, as it reads real images (the release's guide skips its normalisation).
Where evaluators ask for more samples of a class than the replay set has (`per_class`), those are drawn for
them under the requested label, by the newest networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.mix import repeated, training_set, with_share
from cl_bench.samples import Samples, concat
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategies.replay_strategy import ReplayStrategy
from cl_bench.strategy import Setting
from cl_bench.stream import Task


@dataclass(frozen=True)
class DDGROptions(TrainingOptions):
    guidance: Annotated[float, Ge(0)] = 1.0
    """scale s of the classifier's gradient (paper: 1)"""
    guide_on: Literal["x0", "xt"] = "x0"
    """what the guide reads: the denoised estimate, or the noisy image as in the release"""
    per_class: Annotated[int, Ge(1)] | None = None
    """replayed samples per old class; none for as many as it had real ones"""
    balance: Literal["balanced", "as-is"] = "balanced"
    """repeat an old class's replay until it is as large as its real set was, or leave it"""
    weighting: Literal["union", "task"] = "union"
    """all samples alike, or new data 1/t and replay 1 - 1/t of the loss at task t"""
    labels: Literal["requested", "hard", "soft"] = "requested"
    """labels of replay: those asked for, or the old classifier's choice, or its probabilities"""
    resample: Literal["every_task", "once"] = "every_task"
    """draw all replay anew after each task, or that of a class once, after its own"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.balance == "as-is" and self.per_class is None and self.labels != "hard":
            raise ValueError(
                "balance=as-is has no effect: an old class's replay is as large as its real set was; "
                "give per_class, or leave it out"
            )
        if self.guide_on == "xt" and not self.guidance:
            raise ValueError("guide_on=xt has no effect without guidance; leave it out")


@register_strategy("ddgr")
class DDGR(ReplayStrategy):
    """Diffusion replay of old classes under guidance of the old classifier."""

    version = 3
    paper = "Gao and Liu 2023, DDGR, ICML 2023, PMLR 202:10744-10763"
    needs = "a generator that can be guided"
    stores = "the replay set"
    cost = (
        "drawing the replay set, once a task, each step with a pass backwards through classifier and denoiser"
    )
    limits = "drifts as bootstrapping does unless `resample=once`; no generator that cannot be guided"
    Options: ClassVar[type] = DDGROptions

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        if not self.generator.guidable:
            raise UserError(
                f"{self.name} guides its generator by a classifier; {self.generator.name!r} cannot be guided"
            )
        weighted = isinstance(options, DDGROptions) and options.weighting == "task"
        if self.spec.stationary and weighted:
            raise UserError("weighting=task has no effect where no task brings new classes; leave it out")

    def observe(self, task: Task) -> None:
        options, new = self.options, self._new(task)
        real, old = new, self.replay
        if old is not None and options.balance == "balanced":
            old = repeated(old, self.real_counts)
        if old is not None and len(new) and options.weighting == "task":
            real, old = with_share(new, old, 1 / (task.index + 1))
        data = training_set(real, None, old)
        targets = None
        if old is not None and options.labels == "soft":
            targets = self._soft_targets(real, old)
        if options.start == "fresh" and task.index > 0:
            self.classifier, self.generator = self.new_classifier(), self.setting.generator()
        self.classifier.fit(
            data,
            self.progress,
            steps=options.classifier_steps,
            targets=targets,
            held_out=options.held_out(task),
        )
        self.generator.fit(data)
        self._finish(new, data)

    def _next_replay(self, new: Samples) -> Samples:
        options = self.options
        kept = self.replay if options.resample == "once" else None
        counts = self.real_counts if kept is None else new.counts()
        if options.per_class is not None:
            counts = dict.fromkeys(counts, options.per_class)
        if kept is not None and not counts:
            return kept
        replay = self._draw(counts)
        if options.labels == "hard":
            y = self._probabilities(replay.x).argmax(1)
            replay = Samples(replay.x, y, y.clone().apply_(self.depth))
        return replay if kept is None else concat([kept, replay])

    def sample(self, labels: Tensor) -> Tensor:
        options = self.options
        guide = Guide(self._log_prob, options.guidance, options.guide_on) if options.guidance else None
        return self.generator.sample(labels, guide)

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """log softmax over the classes seen so far."""
        return self.classifier.log_prob(x, y, self.seen)
