"""cl-bench and Avalanche, both ways: streams go out, strategies come in. The only module that imports it.

A. Carta et al., "Avalanche: A PyTorch Library for Deep Continual Learning", JMLR 2023; version 0.6. Built
with `benchmark_from_datasets` and `with_classes_timeline`, which take our class order and split as they
are and do not touch the global random generators. The import takes 8 seconds and more.

Every sample carries task label 0 as its last part: many of Avalanche's strategies unpack three parts. It
tells nothing, and no experience has `task_labels`, so none is treated as task-aware.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import Dataset

from cl_bench.samples import Samples
from cl_bench.seeds import isolated

if TYPE_CHECKING:
    from cl_bench.stream import TaskStream


class LabelledTensors(Dataset[tuple[Tensor, int]]):
    """Samples as Avalanche wants a data set: (x, y) pairs and `targets`.

    unit: uint8 images as float32 in [0, 1]; otherwise everything as stored.
    """

    def __init__(self, samples: Samples, unit: bool) -> None:
        self._samples, self._unit = samples, unit
        self.targets = samples.y.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self._samples.x[index]
        return (x.float() / 255 if self._unit else x), self.targets[index]


@contextmanager
def silence() -> Iterator[None]:
    """No warnings inside: Avalanche 0.6 warns of its own deprecations and of having no logger."""
    # Recorded and dropped: it switches filters that ignore them off again.
    with warnings.catch_warnings(record=True):
        yield


def avalanche_benchmark(stream: TaskStream) -> Any:
    """An Avalanche `CLScenario`: `train_stream`, `valid_stream`, `test_stream`, an experience per task.

    Labels are the data set's own, as everywhere in cl-bench. Raises SealedTestSet while a strategy works.
    """
    unit = stream.spec.modality == "image"
    return _scenario(
        unit,
        train=[task.train for task in stream.tasks],
        valid=[task.valid for task in stream.tasks],
        test=[stream.test[stream.group_of(task.index)] for task in stream.tasks],
    )


def newest_experience(parts: Sequence[Samples], num_classes: int) -> Any:
    """The last experience of a training stream that has one for each of `parts`, images as stored.

    Its stream ends with it: strategies that ask which classes have been seen are told the truth, and there
    is no later task to look at. `benchmark` is what iCaRL still reads of Avalanche's older benchmarks:
    classes in order, and numbers of classes whose sum is `num_classes`, as many as it keeps means for.
    """
    experience = _scenario(False, train=list(parts)).train_stream[-1]
    order: list[int] = []
    for part in parts:
        order += [c for c in part.classes if c not in order]
    sizes = [len(part.classes) for part in parts] + [num_classes - len(order)]
    experience.benchmark = SimpleNamespace(n_classes_per_exp=sizes, classes_order=order)
    return experience


def _scenario(unit: bool, **streams: list[Samples]) -> Any:
    with silence(), isolated(0, "import avalanche"):
        from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline

        # Its public twin loses the targets in 0.6; Avalanche's own strategies call this one.
        from avalanche.benchmarks.utils import _make_taskaware_classification_dataset as labelled

    as_avalanche = {
        name: [labelled(LabelledTensors(part, unit), task_labels=0) for part in parts]
        for name, parts in streams.items()
    }
    return with_classes_timeline(benchmark_from_datasets(**as_avalanche))


def supervised_strategy(name: str) -> type[Any]:
    """Avalanche's supervised strategy class called `name`, as in `avalanche.training.supervised`."""
    # Importing draws from random generators, and must not change what a run draws.
    with silence(), isolated(0, "import avalanche"):
        from avalanche.training import supervised

    cls: type[Any] = getattr(supervised, name)
    return cls


def documented_parameters(cls: Any) -> dict[str, str]:
    """The `:param name: text` lines of a constructor's docstring, as text by name."""
    documented: dict[str, str] = {}
    for entry in inspect.cleandoc(cls.__init__.__doc__ or "").split(":param ")[1:]:
        name, _, text = entry.partition(":")
        text = text.partition(":return")[0].partition("\n\n")[0]
        # "mem_size: int : Fixed memory size" says the type once more.
        kind, colon, rest = text.partition(":")
        documented[name.strip()] = " ".join((rest if colon and kind.strip().isidentifier() else text).split())
    return documented
