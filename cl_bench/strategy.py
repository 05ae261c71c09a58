"""The strategy contract: learn task after task, predict over all classes, replay if generative."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from cl_bench.errors import UserError
from cl_bench.generator import Generator, NoOptions
from cl_bench.law import Law
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec, Task


@dataclass(frozen=True)
class Setting:
    """What a strategy is given to work with.

    new_generator: makes a fresh generator of the kind the user chose; None with `--generator none`.
    """

    spec: StreamSpec
    device: torch.device
    progress: Progress
    new_generator: Callable[[], Generator] | None

    def generator(self) -> Generator:
        """A fresh generator. Raises UserError when the user chose none."""
        if self.new_generator is None:
            raise UserError("this strategy replays generated data; choose a --generator other than none")
        return self.new_generator()


class Strategy(ABC):
    """A continual learner.

    A subclass sets `paper` and `Options` (a dataclass, a docstring under each field), builds its networks
    in `__init__`, and puts the whole algorithm in `observe`. It sees no test data and no task id at test
    time. version: raise it when the same options give other numbers.

    replay: the synthetic set of all classes seen so far, drawn at the end of `observe` and used at the
    next one; evaluators read the same set. The runner stores it with each task and gives it back on resume.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    paper: ClassVar[str] = ""
    needs: ClassVar[str] = "nothing beyond the installed packages"
    # For its card: what it keeps from task to task besides its networks, what a task costs besides training
    # them, and what it cannot do. One line each.
    stores: ClassVar[str] = ""
    cost: ClassVar[str] = ""
    limits: ClassVar[str] = ""
    Options: ClassVar[type] = NoOptions

    # The generator when the user names none, instead of the benchmark's own; and defaults for options of the
    # generator, those of them that the chosen one has, in place of its own.
    default_generator: ClassVar[str | None] = None
    generator_defaults: ClassVar[Mapping[str, Any]] = {}

    # Whether it ever asks for a generator; without, none is chosen by default, and naming one is an error.
    # One that
    # makes a generator of its own does not ask.
    uses_generator: ClassVar[bool] = True

    # Whether going on after a stop repeats the finished tasks, with their seeds, because `state_dict` holds
    # no more than predictions need. For wrapped libraries whose state only pickling could save.
    resumes_by_repeating: ClassVar[bool] = False

    replay: Samples | None = None

    def __init__(self, setting: Setting, options: Any) -> None:
        self.setting, self.options = setting, options
        self.spec, self.device, self.progress = setting.spec, setting.device, setting.progress

    @property
    def generative(self) -> bool:
        """Whether `sample` works; without it generative metrics are left out."""
        return False

    @abstractmethod
    def observe(self, task: Task) -> None:
        """Learn one task. Raises TrainingDiverged."""

    @abstractmethod
    def predict(self, x: Tensor) -> Tensor:
        """Logits over all classes of the stream: x (n, …) to (n, num_classes) float32 on the CPU.

        Works before the first task too. Row i depends on x[i] only."""

    def latent(self, x: Tensor) -> Tensor | None:
        """Last hidden layer of the network that predicts: x (n, …) to (n, d) float32 on the CPU; None for a
        strategy that does not tell."""
        return None

    def law(self) -> Law | None:
        """The law that its samples come from, where that is known (see law.py)."""
        return None

    def nats(self, x: Tensor) -> Tensor | None:
        """Negative log-likelihood of each of data x (n, …) under the model that it samples from, in nats:
        (n,) float64 on the CPU; None where it knows none."""
        return None

    def sample(self, labels: Tensor) -> Tensor:
        """One synthetic sample for each label of a class seen so far: (n,) int64 to (n, …), on the CPU."""
        raise UserError(f"strategy {self.name!r} is not generative")

    def depth(self, c: int) -> int:
        """Generation depth of a sample of class c drawn now: 1 + the least depth its generator was
        trained on for that class. Asked of generative strategies only."""
        return 1

    @abstractmethod
    def state_dict(self) -> State:
        """All that `load_state_dict` needs to go on after this task, `replay` excepted."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None: ...
