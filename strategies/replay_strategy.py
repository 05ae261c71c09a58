"""What the strategies of the generative-replay family share: a classifier, a generator, and their replay.

After each task the present generator draws the replay of all classes seen, once; the next task trains on it
(H. Shin et al. 2017, "Continual Learning with Deep Generative Replay", arXiv 1705.08690). What the members
do with it is their `observe`, each in its own file.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cl_bench.classifier import Classifier
from cl_bench.errors import UserError
from cl_bench.generator import Generator
from cl_bench.samples import Samples, labels_for
from cl_bench.state import State, from_numbers, prefixed, to_numbers, under
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import Task


class ReplayStrategy(Strategy):
    """Subclasses give `observe`, which ends with `_finish`."""

    Options: ClassVar[type] = TrainingOptions

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.classifier = self.new_classifier()
        self.generator: Generator = setting.generator()
        # Real samples, and depth of the generator's samples, of each class seen.
        self.real_counts: dict[int, int] = {}
        self.depths: dict[int, int] = {}

    def new_classifier(self) -> Classifier:
        """A classifier before any training."""
        return self.options.new_classifier(self.spec, self.device)

    def need_new_classes(self) -> None:
        """Raises UserError for a stream whose tasks repeat their classes."""
        if self.spec.stationary:
            raise UserError(
                f"strategy {self.name!r} trains on the new classes of each task, and here every task repeats "
                "them; choose a benchmark whose tasks bring new classes"
            )

    @property
    def generative(self) -> bool:
        return True

    @property
    def seen(self) -> tuple[int, ...]:
        """Classes of finished tasks, ascending."""
        return tuple(sorted(self.real_counts))

    def _new(self, task: Task) -> Samples:
        """The real data of classes not seen before."""
        return task.train.of([c for c in task.classes if c not in self.real_counts])

    def _finish(self, new: Samples, data: Samples) -> None:
        """Both networks have learned `data`, of which `new` is real: count, and draw the next replay."""
        self.real_counts |= new.counts()
        self.depths |= {c: 1 + data.least_depth(c) for c in data.classes}
        self.replay = self._next_replay(new)

    def _next_replay(self, new: Samples) -> Samples:
        """What the next task replays, after one that brought `new`: of each class as many as it had real."""
        return self._draw(self.real_counts)

    def _draw(self, counts: dict[int, int]) -> Samples:
        """`counts[c]` synthetic samples of each class c."""
        y = labels_for(counts)
        with self.progress.phase(f"replay: {len(y)} samples"):
            return Samples(self.sample(y), y, y.clone().apply_(self.depth))

    def _probabilities(self, x: Tensor) -> Tensor:
        """What the present classifier gives to the classes seen for data x (n, …): (n, num_classes), zero for
        the others."""
        chosen = list(self.seen)
        logits = self.classifier.predict(x)
        targets = torch.zeros_like(logits)
        targets[:, chosen] = logits[:, chosen].softmax(1)
        return targets

    def _soft_targets(self, new: Samples, old: Samples) -> Tensor:
        """(n, num_classes) probabilities for real and replayed samples, in this order: real ones as they are
        labelled, replay as the present classifier, before training, sees it."""
        certain = nn.functional.one_hot(new.y, self.spec.num_classes).float()
        return torch.cat([certain, self._probabilities(old.x)])

    def sample(self, labels: Tensor) -> Tensor:
        return self.generator.sample(labels)

    def predict(self, x: Tensor) -> Tensor:
        return self.classifier.predict(x)

    def latent(self, x: Tensor) -> Tensor:
        return self.classifier.features(x)

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
