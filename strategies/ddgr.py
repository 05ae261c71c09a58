"""DDGR: a diffusion model guided by the classifier replays old classes.

Paper: R. Gao, W. Liu, "DDGR: Continual Learning with Deep Diffusion-based Generative Replay", ICML 2023,
PMLR 202. Before task t the frozen classifier of task t−1 instructs the frozen diffusion model of task t−1
(the paper's instruct-operator: classifier guidance) to make labelled samples of all old classes; then
both networks are trained further, from their present weights, on new real data and that replay.

  replay:     ε̂ ← ε̂ − s √(1−ᾱ_t) ∇_{x_t} log softmax_old(C_{t−1}(x̂))[y]
  classifier: cross-entropy on real(new) ∪ replay(old)
  generator:  denoising loss on real(new) ∪ replay(old)

Deviations from the published release, at the size of this generator: the guide reads the denoised image
x̂, not the noisy x_t, which it was never trained on; sampling uses averaged weights; the replay of a
class is as large as its real set (`per_class` for another number; published: 20), so that the union is
balanced; nothing is selected on test data; replay stays uint8 in memory, never JPEG. The replay of task t
is drawn at the end of task t−1, from the same frozen networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge
from torch import Tensor

from cl_bench import register_strategy
from cl_bench.errors import UserError
from cl_bench.generator import Guide
from cl_bench.mix import training_set
from cl_bench.samples import Samples, labels_for
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task


@dataclass(frozen=True)
class DDGROptions(TrainingOptions):
    guidance: Annotated[float, Ge(0)] = 1.0
    """scale s of the classifier's gradient (paper: 1)"""
    per_class: Annotated[int, Ge(1)] | None = None
    """replayed samples per old class; none for as many as it had real ones"""


@register_strategy("ddgr")
class DDGR(Strategy):
    """Diffusion replay of old classes under guidance of the old classifier."""

    paper = "Gao and Liu 2023, DDGR, ICML 2023, PMLR 202:10744-10763"
    needs = "a generator that can be guided"
    Options = DDGROptions

    def __init__(self, setting: Setting, options: DDGROptions) -> None:
        super().__init__(setting, options)
        self.classifier = options.new_classifier(setting)
        self.generator = setting.generator()
        if not self.generator.guidable:
            raise UserError(
                f"ddgr guides its generator by a classifier; {self.generator.name!r} cannot be guided"
            )
        self.real_counts: dict[int, int] = {}
        self.depths: dict[int, int] = {}

    @property
    def generative(self) -> bool:
        return True

    def observe(self, task: Task) -> None:
        new = task.train.of([c for c in task.classes if c not in self.real_counts])
        data = training_set(new, None, self.replay)
        if self.options.start == "fresh" and task.index > 0:
            self.classifier = self.options.new_classifier(self.setting)
            self.generator = self.setting.generator()
        self.classifier.fit(data, self.progress, steps=self.options.classifier_steps)
        self.generator.fit(data)

        self.real_counts |= new.counts()
        self.depths |= {c: 1 + int(data.of((c,)).depth.min()) for c in data.classes}
        per_class = self.options.per_class
        wanted = {c: n if per_class is None else per_class for c, n in self.real_counts.items()}
        y = labels_for(wanted)
        with self.progress.phase(f"guided replay: {len(y)} samples"):
            self.replay = Samples(self.sample(y), y, y.clone().apply_(self.depth))

    def sample(self, labels: Tensor) -> Tensor:
        guide = Guide(self._log_prob, self.options.guidance) if self.options.guidance else None
        return self.generator.sample(labels, guide)

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """log softmax over the classes seen so far."""
        return self.classifier.log_prob(x, y, tuple(sorted(self.real_counts)))

    def predict(self, x: Tensor) -> Tensor:
        return self.classifier.predict(x)

    def depth(self, c: int) -> int:
        return self.depths[c]

    def state_dict(self) -> State:
        state = prefixed("classifier", self.classifier.state_dict())
        state |= prefixed("generator", self.generator.state_dict())
        return state | from_numbers("real_counts", self.real_counts) | from_numbers("depths", self.depths)

    def load_state_dict(self, state: State) -> None:
        self.classifier.load_state_dict(under("classifier", state))
        self.generator.load_state_dict(under("generator", state))
        self.real_counts = to_numbers("real_counts", state)
        self.depths = to_numbers("depths", state)
