"""The mix: one definition for every data policy.

For each class already seen, with n_c real samples, the training set of the next generator and classifier
holds `real · n_c` real samples (or `exemplars` of them) and `lambda · n_c` synthetic ones. New classes always
come real. With `accumulate`, synthetic sets of earlier tasks are kept beside the new one: all, or the newest
`window`; with `subsample`, each training draws as many of them all as there were real samples. Synthetic sets
grow as tᵖ with `growth` p: the set that generation t trains on has ⌊λ n_c tᵖ⌋ samples of class c, t = 1 for
real data. Where a stream brings fresh real data every time, the real share is of those.

Sources: Bertrand et al. 2024 (arXiv 2310.00429): λ synthetic per real; Shumailov et al. 2023 (2305.17493) and
Zverev et al. 2025 (2512.11867): replace; Gerstgrasser et al. 2024 (2404.01413): accumulate; Kazdan et al.
2024 (2410.16713): accumulate-subsample; Alemohammad et al. 2023 (2307.01850): fresh real data.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cl_bench.errors import UserError
from cl_bench.samples import Samples, concat, labels_for


@dataclass(frozen=True)
class Mix:
    """real: share of an old class's real samples kept, 0…1. lambda_: synthetic per real sample, ≥ 0.
    accumulate: keep earlier synthetic sets. exemplars: so many real samples per old class instead of a share.
    window, subsample, growth: see above; window and subsample go with accumulate.
    """

    real: float = 0.0
    lambda_: float = 0.0
    accumulate: bool = False
    exemplars: int | None = None
    window: int | None = None
    subsample: bool = False
    growth: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.real <= 1:
            raise UserError(f"real={self.real:g} is out of range; expected a share from 0 to 1")
        if self.lambda_ < 0:
            raise UserError(f"lambda={self.lambda_:g} is out of range; expected 0 or more synthetic per real")
        if self.exemplars is not None and (self.exemplars < 1 or self.real):
            raise UserError("exemplars must be at least 1 and go without a real share")

    @property
    def synthetic_fraction(self) -> float:
        """Share of an old class's training set that is synthetic (first replay, where sets accumulate)."""
        total = self.real + self.lambda_
        return self.lambda_ / total if total else 0.0

    @property
    def empty(self) -> bool:
        """Whether nothing of an old class comes back."""
        return not (self.real or self.lambda_ or self.exemplars)

    def kept(self, task_train: Samples) -> Samples:
        """The real samples of a finished task that later tasks may use again, drawn at random (from torch's
        global generator)."""
        index = []
        for c, n in task_train.counts().items():
            members = torch.nonzero(task_train.y == c).flatten()
            k = round(self.real * n) if self.exemplars is None else min(self.exemplars, n)
            index.append(members[torch.randperm(n)[:k]].sort().values)
        return task_train[torch.cat(index)] if index else task_train[:0]

    def replay_labels(self, real_counts: dict[int, int], generation: int = 1) -> Tensor:
        """Labels of the synthetic set that `generation` (1: the first, of real data) trains on, for classes
        with `real_counts[c]` real samples: ⌊λ n_c generationᵖ⌋ of each."""
        times = self.lambda_ * generation**self.growth
        # The small amount keeps ⌊0.29 · 100⌋ at 29, although the product comes out just below it.
        return labels_for({c: int(times * n + 1e-9) for c, n in real_counts.items()})

    def drawn(self, pool: Samples, real_counts: dict[int, int]) -> Samples:
        """What is trained on of all there is: everything, or with `subsample` as many of each old class as it
        had real samples, at random without repetition (from torch's global generator)."""
        if not self.subsample:
            return pool
        index = []
        for c, n in pool.counts().items():
            members = torch.nonzero(pool.y == c).flatten()
            k = min(real_counts.get(c, n), n)
            index.append(members[torch.randperm(n)[:k]].sort().values)
        return pool[torch.cat(index)]


def lambda_of(synthetic_fraction: float, real: float = 1.0) -> float:
    """λ for a share of synthetic data in an old class's whole training set, beside `real` · n_c real samples.

    share = λ/(real + λ), so λ = real · share/(1 − share). Raises UserError unless 0 ≤ share < 1.
    """
    if not 0 <= synthetic_fraction < 1:
        raise UserError(
            f"synthetic_fraction={synthetic_fraction:g} is out of range; expected 0 up to, not including, 1"
        )
    return real * synthetic_fraction / (1 - synthetic_fraction)


def training_set(new: Samples, kept: Samples | None, replay: Samples | None) -> Samples:
    """New real data, kept real data and replay as one set."""
    return concat(part for part in (new, kept, replay) if part is not None)


def repeated(samples: Samples, counts: dict[int, int]) -> Samples:
    """`samples` with each class c that is smaller than `counts[c]` repeated until it is as large."""
    present = samples.counts()
    if all(n >= counts.get(c, 0) for c, n in present.items()):
        return samples
    return concat(_repeated_to(samples.of((c,)), counts.get(c, 0)) for c in present)


def with_share(a: Samples, b: Samples, share: float) -> tuple[Samples, Samples]:
    """Both, neither of them empty and each sorted by class, one of them repeated, so that `a` makes up
    `share` of the whole, 0 < share < 1, and each class as much of its set as before, up to rounding."""
    wanted = round(len(b) * share / (1 - share))
    if wanted >= len(a):
        return _stretched(a, wanted), b
    return a, _stretched(b, round(len(a) * (1 - share) / share))


def _repeated_to(samples: Samples, n: int) -> Samples:
    """`samples`, from the front again until there are n."""
    return samples[torch.arange(max(n, len(samples))) % len(samples)]


def _stretched(samples: Samples, n: int) -> Samples:
    """`samples`, each repeated in its place, until there are n: as often as any other but for one."""
    return samples[torch.arange(n) * len(samples) // n]
