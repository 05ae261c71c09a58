"""Fréchet distances that see labels: the marginal distance is blind to samples under the wrong class.

- Within classes: the mean over classes c of the Fréchet distance of real_c to fake_c ("intra FID", T. Miyato,
  M. Koyama, "cGANs with Projection Discriminator", 2018; WCFID in Y. Benny, T. Galanti, S. Benaim, L. Wolf,
  "Evaluation Metrics for Conditional Image Generation", 2021).
- Between classes: the Fréchet distance of the two sets of class means (after BCFID, ibid.). The covariance of
  k means divides by k − 1, as every covariance here.
- Joint: M. Soloveitchik, T. Diskin, E. Morin, A. Wiesel, "Conditional Frechet Inception Distance", 2021, with
  the label as the condition. The regression on one-hot labels is the class mean, so their formula becomes
  Σ_c p_c ‖m_c − m'_c‖² plus the Fréchet distance of the pooled covariances Σ_c p_c S_c, Σ_c p_c S'_c.

p_c is the share of c among the real samples. Values are in squared feature units, ≥ 0, lower is better. Few
samples per class bias them upwards far more than the marginal distance: compare at equal counts only, beside
the same distance of real to real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cl_bench.metrics.gaussian import Array, GaussianFit, as_numpy, as_samples, fit, squared_distance, within


@dataclass(frozen=True)
class ConditionalFrechet:
    """Every mean is over `classes` alone, those that both sides have; `missing` names what they leave out."""

    balanced: float
    """Mean of `per_class`, each class alike."""
    weighted: float
    """Mean of `per_class`, each class by its share of the real samples of `classes`."""
    between: float
    """Fréchet distance of the sets of class means; ‖m − m'‖² for a single class."""
    joint: float
    """Soloveitchik's conditional distance, classes by their share of the real samples of `classes`."""
    per_class: tuple[float, ...]
    """Fréchet distance within each of `classes`. One sample counts as a Gaussian without spread."""
    classes: tuple[int, ...]
    """Labels found on both sides, ascending."""
    missing: tuple[int, ...]
    """Labels of real samples that no fake sample has, ascending: the generator lost them."""
    unexpected: tuple[int, ...]
    """Labels of fake samples that no real sample has, ascending."""
    real_counts: tuple[int, ...]
    """Real samples of each of `classes`."""
    fake_counts: tuple[int, ...]
    """Fake samples of each of `classes`."""


def conditional_frechet(x_real: Array, y_real: Array, x_fake: Array, y_fake: Array) -> ConditionalFrechet:
    """Compare labelled sets class by class: x (n, d) finite, y (n,) integers; NumPy, or torch on one device.

    Raises ValueError for empty or non-finite sets, labels that do not fit, or no class in common.
    """
    x_real, x_fake = as_samples(x_real), as_samples(x_fake)
    real_rows, fake_rows = _rows_of_each(y_real, len(x_real)), _rows_of_each(y_fake, len(x_fake))
    classes = sorted(real_rows.keys() & fake_rows.keys())
    if not classes:
        raise ValueError(f"no class in common: real {sorted(real_rows)}, fake {sorted(fake_rows)}")
    real = [fit(x_real[real_rows[c]]) for c in classes]
    fake = [fit(x_fake[fake_rows[c]]) for c in classes]
    real_counts = [len(real_rows[c]) for c in classes]
    shares = [n / sum(real_counts) for n in real_counts]
    per_class = [squared_distance(p, q) for p, q in zip(real, fake, strict=True)]
    steps = [float(((p.mean - q.mean) ** 2).sum()) for p, q in zip(real, fake, strict=True)]
    return ConditionalFrechet(
        balanced=float(np.mean(per_class)),
        weighted=float(np.dot(shares, per_class)),
        between=_between(real, fake),
        joint=float(np.dot(shares, steps)) + squared_distance(within(real, shares), within(fake, shares)),
        per_class=tuple(per_class),
        classes=tuple(classes),
        missing=tuple(sorted(real_rows.keys() - fake_rows.keys())),
        unexpected=tuple(sorted(fake_rows.keys() - real_rows.keys())),
        real_counts=tuple(real_counts),
        fake_counts=tuple(len(fake_rows[c]) for c in classes),
    )


def _rows_of_each(y: Array, n: int) -> dict[int, np.ndarray]:
    labels = as_numpy(y)
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"expected {n} integer labels, got {labels.dtype} of shape {labels.shape}")
    return {int(c): np.flatnonzero(labels == c) for c in np.unique(labels)}


def _between(real: Sequence[GaussianFit], fake: Sequence[GaussianFit]) -> float:
    """Fréchet distance of the two sets of means."""
    return squared_distance(*(fit(np.stack([as_numpy(p.mean) for p in side])) for side in (real, fake)))
