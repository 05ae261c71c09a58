"""Are all modes of a mixture of round Gaussians still there, in their places and in their shares?

High quality, modes captured: A. Srivastava et al., "VEEGAN", NeurIPS 2017 (three standard deviations).
Histogram of modes and its divergence from the truth: L. Metz et al., "Unrolled GANs", ICLR 2017.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammainc, rel_entr


@dataclass(frozen=True)
class Modes:
    """What n samples say of k modes.

    weights (k,): the mixture's. radius: how many standard deviations high quality reaches. expected: the
    share of true samples that are high quality. histogram (k,): share of all samples whose nearest mode, in
    units of the mode's standard deviation, it is. good (k,): how many of those are high quality. nearest
    (n,): the nearest mode of each sample. spread (k,): variance of a mode's high-quality samples about their
    own mean, over that of true ones within the same radius: below 1 is too narrow; NaN for fewer than two
    samples.
    """

    n: int
    weights: np.ndarray
    radius: float
    expected: float
    histogram: np.ndarray
    good: np.ndarray
    nearest: np.ndarray
    spread: np.ndarray

    @property
    def high_quality(self) -> float:
        """Share of samples that are high quality, 0…1. True ones have `expected`; more means too narrow."""
        return float(self.good.sum() / self.n)

    @property
    def captured(self) -> float:
        """Share of modes with at least one high-quality sample (VEEGAN), 0…1, higher is better. One stray
        sample saves a mode, the likelier the larger n: see `covered`."""
        return float((self.good > 0).mean())

    def covered(self, least: float = 0.05) -> float:
        """Share of modes that hold at least `least` of the high-quality samples that they should, which are
        n · weight · expected; 0…1, higher is better. 0.05 is 1 % of all samples for five equal modes."""
        return float((self.good >= least * self.n * self.weights * self.expected).mean())

    @property
    def total_variation(self) -> float:
        """½ Σ |histogram − weights|, 0…1, lower is better: the mass that is in a wrong mode."""
        return float(np.abs(self.histogram - self.weights).sum() / 2)

    @property
    def kl(self) -> float:
        """KL(histogram ‖ weights) in nats, 0…log(1 / least weight), lower is better; finite with modes lost.

        True samples of well separated modes have (k − 1) / 2n on average.
        """
        return float(rel_entr(self.histogram, self.weights).sum())


def modes(
    samples: np.ndarray,
    centres: np.ndarray,
    std: float | np.ndarray,
    weights: np.ndarray | None = None,
    radius: float = 3.0,
) -> Modes:
    """Judge samples (n, d) by the mixture of N(centres_k, std_k² I), centres (k, d), std a number or (k,).

    weights (k,) > 0 sum to 1; None is equal ones. Beyond a few dimensions three standard deviations hold
    little of a Gaussian (`high_quality_share`): choose a larger radius. Modes are taken to be further apart
    than twice the radius; where they overlap, even true samples are counted for a neighbour. ValueError for
    samples that are empty or not finite, and for a mixture that is none.
    """
    samples, centres = (np.asarray(x, dtype=np.float64) for x in (samples, centres))
    if samples.ndim != 2 or centres.ndim != 2 or samples.shape[1] != centres.shape[1]:
        raise ValueError(f"expected (n, d) and (k, d), got {samples.shape} and {centres.shape}")
    if len(samples) == 0 or len(centres) == 0:
        raise ValueError("modes need at least one sample and one centre")
    if not (np.isfinite(samples).all() and np.isfinite(centres).all()):
        raise ValueError("samples or centres hold NaN or infinity")
    k, d = centres.shape
    std = np.broadcast_to(np.asarray(std, dtype=np.float64), k)
    w = np.full(k, 1 / k) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (std > 0).all() or w.shape != (k,) or not ((w > 0).all() and abs(w.sum() - 1) < 1e-6):
        raise ValueError(f"expected std > 0 and {k} weights > 0 that sum to 1, got {std} and {w}")
    distances = cdist(samples, centres) / std
    nearest = distances.argmin(1)
    good = distances.min(1) <= radius
    parts = [samples[good & (nearest == j)] for j in range(k)]
    return Modes(
        n=len(samples),
        weights=w,
        radius=radius,
        expected=high_quality_share(d, radius),
        histogram=np.bincount(nearest, minlength=k) / len(samples),
        good=np.bincount(nearest[good], minlength=k),
        nearest=nearest,
        spread=np.array([_variance(part) for part in parts]) / (std**2 * kept_variance(d, radius)),
    )


def _variance(part: np.ndarray) -> float:
    """Mean over coordinates of the unbiased variance; NaN for fewer than two rows."""
    return float(part.var(0, ddof=1).mean()) if len(part) > 1 else float("nan")


def kept_variance(d: int, radius: float = 3.0) -> float:
    """Variance in each coordinate of a standard Gaussian in d dimensions cut off at `radius`: the χ²_{d+2}
    law at radius² over the χ²_d law there."""
    return float(gammainc(d / 2 + 1, radius**2 / 2) / gammainc(d / 2, radius**2 / 2))


def high_quality_share(d: int, radius: float = 3.0) -> float:
    """Mass of a Gaussian in d dimensions within `radius` standard deviations: the χ²_d law at radius²; in two
    dimensions 1 − exp(−radius²/2)."""
    return float(gammainc(d / 2, radius**2 / 2))
