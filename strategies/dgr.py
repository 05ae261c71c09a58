"""Deep generative replay (DGR): a scholar is a generator and a solver, and teaches the next scholar.

Paper: H. Shin, J. K. Lee, J. Kim, J. Kim 2017, "Continual Learning with Deep Generative Replay", NeurIPS
2017, arXiv 1705.08690. The scholar of task t is trained on new data and on what the scholar of task t − 1
gives: samples x' of its generator with its solver's answers. For the solver (eq. 2 of the paper):

  loss = r E_{(x, y) new} H(y, S_t(x)) + (1 − r) E_{x' ~ G_{t−1}} H(S_{t−1}(x'), S_t(x')),   H: cross-entropy

and for the generator a set of which new data are the share r. r is the importance of the new task, here 1/t
at task t unless given: all tasks count alike.

Unlike `bootstrap`, which trains on samples under the labels they were asked for, in the proportion in
which they come, the old solver labels replay here: a sample that turned out as another class is not taught
under the wrong name. And r is a number of its own, whatever the sizes of the two sets.

- labels=solver: the class that the old solver prefers among those it has seen, as in the paper;
- labels=soft: its probabilities of those classes as targets (the generator gets the preferred class);
- labels=requested: the class that the generator was asked for, as `bootstrap` does.

Deviations: the paper's generators are GANs without classes; all of ours are given a class, so replay is asked
for in equal numbers of all seen classes and then labelled by the solver. The loss is weighted by how often
the solver draws each sample, which is eq. 2 in expectation. Replay is drawn once per task, as many samples as
old classes had real ones unless `per_class` is given; for the generator's set they are repeated or left out
until the share is r. Networks go on from their present weights unless `start=fresh`. A sample is as deep
as the class that it is labelled as. Where evaluators ask for more samples of a class than the
replay set has, those carry the class they were asked for. The paper's text could not be had here, so its
equation was not checked against it; no constant is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Interval
from torch import Tensor, nn

from cl_bench import register_strategy
from cl_bench.errors import UserError
from cl_bench.mix import training_set
from cl_bench.samples import Samples, labels_for
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task


@dataclass(frozen=True)
class DGROptions(TrainingOptions):
    labels: Literal["solver", "soft", "requested"] = "solver"
    """whose labels replay has: the old solver's choice (paper), its probabilities, or what was asked for"""
    ratio: Annotated[float, Interval(gt=0, lt=1)] | None = None
    """importance r of new data beside replay (paper's eq. 2); none for 1/t at task t"""
    per_class: Annotated[int, Ge(1)] | None = None
    """replayed samples asked of each seen class; none for as many as old classes had real ones, on average"""


@register_strategy("dgr")
class DGR(Strategy):
    """Deep generative replay: the old solver labels what the old generator makes."""

    version = 2
    paper = "Shin, Lee, Kim, Kim 2017, NeurIPS, arXiv 1705.08690"
    needs = "a generator"
    stores = "the replay set, with the solver's labels"
    cost = "drawing and labelling the replay set, once a task"
    limits = "drifts as bootstrapping does, and the solver's mistakes are taught on"
    Options = DGROptions

    def __init__(self, setting: Setting, options: DGROptions) -> None:
        super().__init__(setting, options)
        if self.spec.stationary and options.ratio is not None:
            raise UserError("ratio has no effect where no task brings new classes; leave it out")
        self.solver = options.new_classifier(self.spec, self.device)
        self.generator = setting.generator()
        self.real_counts: dict[int, int] = {}
        self.depths: dict[int, int] = {}

    @property
    def generative(self) -> bool:
        return True

    def observe(self, task: Task) -> None:
        new = task.train.of([c for c in task.classes if c not in self.real_counts])
        replay, r = self.replay, self.options.ratio or 1 / (task.index + 1)
        data = training_set(new, None, replay)
        weights = importance(len(new), len(data) - len(new), r)
        # Before the solver changes: these are the old one's answers.
        targets = self._targets(new, replay) if self.options.labels == "soft" else None
        if self.options.start == "fresh" and task.index > 0:
            self.solver = self.options.new_classifier(self.spec, self.device)
            self.generator = self.setting.generator()

        steps = self.options.classifier_steps
        held_out = self.options.held_out(task)
        self.solver.fit(
            data, self.progress, "solver", steps, weights=weights, targets=targets, held_out=held_out
        )
        self.generator.fit(data if replay is None else mixed(new, replay, r))

        self.real_counts |= new.counts()
        self.depths |= {c: 1 + data.least_depth(c) for c in data.classes}
        self.replay = self._replay()

    def _replay(self) -> Samples:
        """Equally many samples of each seen class, labelled as the options say."""
        n = round(sum(self.real_counts.values()) / len(self.real_counts))
        asked = labels_for(dict.fromkeys(self.real_counts, self.options.per_class or n))
        with self.progress.phase(f"replay: {len(asked)} samples"):
            x = self.sample(asked)
        y = asked if self.options.labels == "requested" else self._preferred(x)
        return Samples(x, y, y.clone().apply_(self.depth))

    def _preferred(self, x: Tensor) -> Tensor:
        """The solver's choice among the seen classes, (n,) int64."""
        return self._answers(x).argmax(1)

    def _answers(self, x: Tensor) -> Tensor:
        """The solver's probabilities, (n, num_classes): softmax over the seen classes, 0 for others."""
        seen = torch.tensor(sorted(self.real_counts))
        logits = self.solver.predict(x)
        answers = torch.zeros_like(logits)
        answers[:, seen] = logits[:, seen].softmax(1)
        return answers

    def _targets(self, new: Samples, replay: Samples | None) -> Tensor:
        """Targets for new data, their labels, and then for replay, the solver's answers."""
        real = nn.functional.one_hot(new.y, self.spec.num_classes).float()
        return real if replay is None else torch.cat([real, self._answers(replay.x)])

    def predict(self, x: Tensor) -> Tensor:
        return self.solver.predict(x)

    def latent(self, x: Tensor) -> Tensor:
        return self.solver.features(x)

    def sample(self, labels: Tensor) -> Tensor:
        return self.generator.sample(labels)

    def depth(self, c: int) -> int:
        return self.depths[c]

    def state_dict(self) -> State:
        state = prefixed("solver", self.solver.state_dict())
        state |= prefixed("generator", self.generator.state_dict())
        return state | from_numbers("real_counts", self.real_counts) | from_numbers("depths", self.depths)

    def load_state_dict(self, state: State) -> None:
        self.solver.load_state_dict(under("solver", state))
        self.generator.load_state_dict(under("generator", state))
        self.real_counts = to_numbers("real_counts", state)
        self.depths = to_numbers("depths", state)


def importance(new: int, replayed: int, r: float) -> Tensor | None:
    """How often each of `new` and then `replayed` samples is drawn, (new + replayed,), so that new ones are
    drawn with probability r; None where there is one kind only."""
    if not new or not replayed:
        return None
    return torch.cat([torch.full((new,), r / new), torch.full((replayed,), (1 - r) / replayed)])


def mixed(new: Samples, replay: Samples, r: float) -> Samples:
    """New data and so much of `replay` that new data are the share r, rounded to whole samples; drawn at
    random (from torch's global generator), each as often as the others but for one. All replay where nothing
    is new."""
    if not len(new):
        return replay
    wanted = round(len(new) * (1 - r) / r)
    rounds = [torch.randperm(len(replay)) for _ in range(-(-wanted // len(replay)))]
    return training_set(new, None, replay[torch.cat(rounds)[:wanted]]) if rounds else new
