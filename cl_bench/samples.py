"""Labelled data in memory: the one shape in which real and replayed samples travel."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """`n` labelled samples.

    x: (n, …) in the stream's modality: images uint8 NCHW in 0…255, vectors float32, text int64.
    y: (n,) int64 class labels.
    depth: (n,) int64 generation depth: 0 real, 1 made by a model that saw the class real, and so on.
    """

    x: Tensor
    y: Tensor
    depth: Tensor

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.y) == len(self.depth):
            raise ValueError(
                f"x, y and depth must have one length, got {len(self.x)}, {len(self.y)}, {len(self.depth)}"
            )

    @classmethod
    def real(cls, x: Tensor, y: Tensor) -> Samples:
        """Real data: depth 0 throughout."""
        return cls(x, y, torch.zeros_like(y))

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: Tensor | slice) -> Samples:
        return Samples(self.x[index], self.y[index], self.depth[index])

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels present, ascending."""
        return tuple(self.y.unique().tolist())

    def of(self, classes: Sequence[int]) -> Samples:
        """The samples of `classes`, in their present order."""
        if not len(classes):
            return self[:0]
        return self[torch.isin(self.y, torch.as_tensor(list(classes), device=self.y.device))]

    def first_per_class(self, counts: dict[int, int]) -> Samples:
        """The first `counts[c]` samples of each class c (fewer where there are fewer), classes ascending."""
        index = [torch.nonzero(self.y == c).flatten()[:k] for c, k in sorted(counts.items())]
        return self[torch.cat(index)] if index else self[:0]

    def counts(self) -> dict[int, int]:
        """Samples per class present."""
        labels, counts = self.y.unique(return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))

    def least_depth(self, c: int) -> int:
        """The least depth of a sample of class c, of which there is one at least."""
        return int(self.depth[self.y == c].min())

    def state_dict(self) -> dict[str, Tensor]:
        return {"x": self.x, "y": self.y, "depth": self.depth}

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor]) -> Samples:
        return cls(state["x"], state["y"], state["depth"])


def scaled(x: Tensor) -> Tensor:
    """uint8 images to float32 in [−1, 1]; vectors as they are."""
    return x.float().div_(127.5).sub_(1) if x.dtype == torch.uint8 else x


def to_uint8(x: Tensor) -> Tensor:
    """Images about [−1, 1] to uint8, clipped; the inverse of `scaled`."""
    return ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def labels_for(counts: dict[int, int]) -> Tensor:
    """`counts[c]` times each label c, ascending: (n,) int64."""
    classes = sorted(counts)
    repeats = torch.tensor([counts[c] for c in classes], dtype=torch.int64)
    return torch.repeat_interleave(torch.tensor(classes, dtype=torch.int64), repeats)


def shared(a: Samples, b: Samples) -> list[tuple[int, int]]:
    """Pairs (i, j) with a.x[i] equal to b.x[j] in every value; j is the first where there are several."""
    first: dict[bytes, int] = {}
    for j, digest in enumerate(_digests(b)):
        first.setdefault(digest, j)
    return [(i, first[digest]) for i, digest in enumerate(_digests(a)) if digest in first]


def _digests(samples: Samples) -> Iterator[bytes]:
    return (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in samples.x.numpy())


def concat(parts: Iterable[Samples]) -> Samples:
    """All `parts` (at least one) in one, in order."""
    parts = list(parts)
    # Sets of thousands of replicas are too large to be copied for nothing.
    filled = [part for part in parts if len(part)] or parts[:1]
    if len(filled) == 1:
        return filled[0]
    return Samples(*(torch.cat([getattr(p, name) for p in filled]) for name in ("x", "y", "depth")))
