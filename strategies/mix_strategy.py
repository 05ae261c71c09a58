"""The strategies that are only parameters of the mix: one definition for all of them.

At each task, classifier and generator are trained on new real data, the real data of old classes that the
mix keeps, and the synthetic data of old classes that the previous generator made. Which mix it is
(`cl_bench/mix.py`) is all that `naive`, `joint`, `experience-replay`, `bootstrap`, `mixed` and
`accumulate` differ in.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench.classifier import Classifier, ClassifierOptions
from cl_bench.errors import UserError
from cl_bench.law import Law
from cl_bench.mix import Mix, training_set
from cl_bench.samples import Samples, concat
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task


@dataclass(frozen=True)
class TrainingOptions(ClassifierOptions):
    """Options of every strategy that trains a classifier and a generator."""

    start: Literal["warm", "fresh"] = "warm"
    """train each task from the previous task's weights, or from new ones"""
    classifier_steps: Annotated[int, Gt(0)] = 400
    """training steps of the classifier per task"""
    early_stop: bool = False
    """stop the classifier early, at its best on the data held out of the task's own training data"""

    def held_out(self, task: Task) -> Samples | None:
        """What early stopping looks at: real data of the present task only, kept out of its training. Raises
        UserError where there are none."""
        if self.early_stop and not len(task.valid):
            raise UserError("early_stop=true has nothing to look at; hold out data with valid_fraction=0.1")
        return task.valid if self.early_stop else None


@dataclass(frozen=True)
class MixOptions(TrainingOptions):
    """Options of every strategy that is a mix with synthetic data in it."""

    growth: Annotated[float, Ge(0)] = 0.0
    """synthetic sets grow with generation t as t**growth: 0 keeps their size, 1 is linear"""


class MixStrategy(Strategy):
    """Subclasses give `mix`. Where there is one class only, nothing is to be told apart and no classifier is
    trained."""

    Options: ClassVar[type] = TrainingOptions

    @abstractmethod
    def mix(self) -> Mix:
        """The data policy, from the options. Raises UserError for one out of range."""

    def sampling_weights(self, new: int, total: int) -> Tensor | None:
        """How often the classifier draws each of `total` samples, the first `new` of them new; None:
        alike."""
        return None

    def remember(self, new: Samples) -> None:
        """Keep of the real data of new classes what replay will need; called when both networks have learned
        them."""

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.policy = self.mix()
        if self.policy.lambda_ and setting.new_generator is None:
            raise UserError(
                f"strategy {self.name!r} replays generated data (lambda={self.policy.lambda_:g}); "
                "choose a --generator other than none"
            )
        if self.spec.stationary and self.policy.empty:
            raise UserError(
                f"strategy {self.name!r} keeps nothing of classes it has seen, and here every task repeats "
                "them: nothing would be left to train on; choose another strategy"
            )
        self.classifier = self._new_classifier()
        self.generator = setting.new_generator() if setting.new_generator else None
        self.kept: Samples | None = None
        self.real_counts: dict[int, int] = {}
        self.depths: dict[int, int] = {}
        # Sizes of the synthetic sets in `replay`, oldest first.
        self.sets: list[int] = []

    def _new_classifier(self) -> Classifier | None:
        return self.options.new_classifier(self.spec, self.device) if self.spec.num_classes > 1 else None

    @property
    def generative(self) -> bool:
        return self.generator is not None

    def observe(self, task: Task) -> None:
        # Where tasks repeat their classes, only the mix decides what of the old ones comes back.
        new = task.train.of([c for c in task.classes if c not in self.real_counts])
        if self.spec.fresh and task.index > 0:
            self.kept = self.policy.kept(task.train.of(list(self.real_counts)))
        pool = training_set(new, self.kept, self.replay)
        data = self.policy.drawn(pool, self.real_counts)
        if self.options.start == "fresh" and task.index > 0:
            self.classifier = self._new_classifier()
            self.generator = self.setting.new_generator() if self.setting.new_generator else None

        if self.classifier is not None:
            self.classifier.fit(
                data,
                self.progress,
                steps=self.options.classifier_steps,
                weights=self.sampling_weights(len(new), len(data)),
                held_out=self.options.held_out(task),
            )
        if self.generator is not None:
            self.generator.fit(data)

        # A class that is in the set has a new depth; a class that is not keeps what the weights remember.
        self.depths |= {c: 1 + data.least_depth(c) for c in data.classes}
        self.real_counts |= new.counts()
        self.remember(new)
        if not self.spec.fresh:
            kept = self.policy.kept(new)
            self.kept = kept if self.kept is None else concat([self.kept, kept])
        if self.policy.lambda_:
            self.draw_replay(task.index + 2)

    def draw_replay(self, generation: int) -> None:
        """Set `replay`, at the end of a task, for the training of `generation` (1: of the first task)."""
        y = self.policy.replay_labels(self.real_counts, generation)
        with self.progress.phase(f"replay: {len(y)} samples"):
            drawn = Samples(self.sample(y), y, self._depths_of(y))
        earlier = [self.replay] if self.policy.accumulate and self.replay is not None else []
        self.sets = [*self.sets, len(y)][-(self.policy.window or 0) :] if earlier else [len(y)]
        self.replay = concat([*earlier, drawn])[-sum(self.sets) :]

    def _depths_of(self, y: Tensor) -> Tensor:
        """Depth of a sample drawn now, for labels (n,): (n,) int64."""
        depths = torch.zeros(self.spec.num_classes, dtype=torch.int64)
        for c in self.depths:
            depths[c] = self.depth(c)
        return depths[y]

    def predict(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 1) if self.classifier is None else self.classifier.predict(x)

    def latent(self, x: Tensor) -> Tensor | None:
        return None if self.classifier is None else self.classifier.features(x)

    def law(self) -> Law | None:
        return None if self.generator is None else self.generator.law()

    def nats(self, x: Tensor) -> Tensor | None:
        return None if self.generator is None else self.generator.nats(x)

    def sample(self, labels: Tensor) -> Tensor:
        if self.generator is None:
            return super().sample(labels)
        return self.generator.sample(labels)

    def depth(self, c: int) -> int:
        return self.depths[c]

    def state_dict(self) -> State:
        state = from_numbers("sets", dict(enumerate(self.sets)))
        if self.classifier is not None:
            state |= prefixed("classifier", self.classifier.state_dict())
        if self.generator is not None:
            state |= prefixed("generator", self.generator.state_dict())
        if self.kept is not None:
            state |= prefixed("kept", self.kept.state_dict())
        return state | from_numbers("real_counts", self.real_counts) | from_numbers("depths", self.depths)

    def load_state_dict(self, state: State) -> None:
        self.sets = list(to_numbers("sets", state).values())
        if self.classifier is not None:
            self.classifier.load_state_dict(under("classifier", state))
        if self.generator is not None:
            self.generator.load_state_dict(under("generator", state))
        kept = under("kept", state)
        self.kept = Samples.from_state_dict(kept) if kept else None
        self.real_counts = to_numbers("real_counts", state)
        self.depths = to_numbers("depths", state)
