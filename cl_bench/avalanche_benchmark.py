"""A stream as a genuine Avalanche benchmark: the only module that imports Avalanche.

A. Carta et al., "Avalanche: A PyTorch Library for Deep Continual Learning", JMLR 2023; version 0.6. Built
with `benchmark_from_datasets` and `with_classes_timeline`, which take our class order and split as they
are and do not touch the global random generators. The import takes 8 seconds and more.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.data import Dataset

from cl_bench.samples import Samples

if TYPE_CHECKING:
    from cl_bench.stream import TaskStream


class LabelledTensors(Dataset[tuple[Tensor, int]]):
    """Samples as Avalanche wants a data set: (x, y) pairs and `targets`. Images are float32 in [0, 1]."""

    def __init__(self, samples: Samples, is_image: bool) -> None:
        self._samples, self._is_image = samples, is_image
        self.targets = samples.y.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self._samples.x[index]
        return (x.float() / 255 if self._is_image else x), self.targets[index]


def avalanche_benchmark(stream: TaskStream) -> Any:
    """An Avalanche `CLScenario`: `train_stream`, `valid_stream`, `test_stream`, an experience per task.

    Labels are the data set's own, as everywhere in cl-bench. Raises SealedTestSet while a strategy works.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside Avalanche's own imports
        from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline
        from avalanche.benchmarks.utils import as_classification_dataset

    def experiences(parts: list[Samples]) -> list[Any]:
        is_image = stream.spec.modality == "image"
        return [as_classification_dataset(LabelledTensors(part, is_image)) for part in parts]

    benchmark = benchmark_from_datasets(
        train=experiences([task.train for task in stream.tasks]),
        valid=experiences([task.valid for task in stream.tasks]),
        test=experiences([stream.test[stream.group_of(task.index)] for task in stream.tasks]),
    )
    return with_classes_timeline(benchmark)
