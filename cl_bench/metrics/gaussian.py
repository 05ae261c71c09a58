"""Distances between Gaussians fitted to samples, exact when there are fewer samples than dimensions.

‖m₁−m₂‖² + tr S₁ + tr S₂ − 2 tr(S₁^½ S₂ S₁^½)^½  (Dowson and Landau 1982; the squared 2-Wasserstein
distance of Gaussians, Givens and Shortt 1984; FID's formula, Heusel et al. 2017, eq. 6).

With factors A of S = AᵀA, the last trace is the nuclear norm ‖A Bᵀ‖_*. No covariance is formed and no matrix
root taken, so rank-deficient sets are exact instead of NaN. A factor has n − 1 rows, or d where that is fewer
(by QR): it is what a reference set is kept as, and a comparison is one product and its singular values.

Arrays are NumPy's or torch's; the work is done in float64 on the device of the samples.
"""

from __future__ import annotations

import sys
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any
"""np.ndarray or torch.Tensor. One set of functions serves both, as their linear algebra has one naming."""

# From this many rows on, a CPU finds singular values markedly quicker by the Gram matrix: 1.2 times at 50
# rows, 1.9 times at 1000. On CUDA it is taken throughout: there symmetric eigenvalues come in batches,
# singular values one matrix at a time.
GRAM_FROM = 256

# That way may cost a distance this share of the two total variances: a bound on the worst case. On sets whose
# variances fall as 1/i … 1/i² it cost 1e-12 or less.
TOLERANCE = 1e-7


@dataclass(frozen=True)
class GaussianFit:
    """Mean (d,) and a factor A (r, d) with AᵀA the unbiased covariance, r ≤ min(n, d).

    Fit a reference set once and compare it as often as needed: nothing of it is computed again.
    """

    mean: Array
    factor: Array

    @property
    def total_variance(self) -> float:
        """Trace of the covariance, in squared feature units."""
        return float((self.factor**2).sum())

    @cached_property
    def norm(self) -> float:
        """Frobenius norm of the covariance, in squared feature units."""
        return float(((self.factor @ self.factor.T) ** 2).sum()) ** 0.5


def as_samples(x: Array) -> Array:
    """x as float64 on its own device, checked: (n, d), n ≥ 1, d ≥ 1, finite. Raises ValueError."""
    xp = _namespace(x)
    x = np.asarray(x, dtype=np.float64) if xp is np else x.detach().to(xp.float64)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"expected samples as (n, d), neither of them 0, got shape {tuple(x.shape)}")
    if not xp.isfinite(x).all():
        raise ValueError("samples hold NaN or infinity")
    return x


def as_numpy(x: Array) -> np.ndarray:
    """An array on the CPU, without a copy where it lies there already."""
    return np.asarray(x if _namespace(x) is np else x.detach().cpu())


def fit(x: Array) -> GaussianFit:
    """Fit a Gaussian to x, (n, d) finite with n ≥ 1; one sample has covariance zero. Raises ValueError."""
    mean, rows = _centred(as_samples(x))
    if len(rows) == 1:
        return GaussianFit(mean, rows)
    # Centred rows sum to zero. Householder's reflection of (1, …, 1)/√n to the first axis leaves AᵀA as it is
    # and makes the first row the zero one; without it, A has no null direction that the data lack.
    first, others = rows[0], rows[1:]
    others += first / (len(rows) ** 0.5 - 1)
    return GaussianFit(mean, _fewest_rows(others) / (len(rows) - 1) ** 0.5)


def fit_batches(batches: Iterable[Array]) -> GaussianFit:
    """`fit` of all rows of `batches`, each (b, d), holding no more than about 4 d rows at a time.

    Blocks are fitted and merged by the pairwise update (T. Chan, G. Golub, R. LeVeque 1979), here on factors:
    the rows of both and of the step between the means. Equal to `fit` of the whole but for rounding, however
    large the features' offset. Raises ValueError, also where there is no row at all.
    """
    merged, count = None, 0
    for block in _blocks(batches):
        part, size = fit(block), len(block)
        if merged is None:
            merged, count = part, size
            continue
        step, total = part.mean - merged.mean, count + size
        rows = _namespace(step).concatenate(
            [
                merged.factor * (count - 1) ** 0.5,
                part.factor * (size - 1) ** 0.5,
                step[None] * (count * size / total) ** 0.5,
            ]
        )
        merged = GaussianFit(merged.mean + step * (size / total), _fewest_rows(rows) / (total - 1) ** 0.5)
        count = total
    if merged is None:
        raise ValueError("expected samples in batches of (n, d), got no batch")
    return merged


def within(groups: Sequence[GaussianFit], weights: Sequence[float]) -> GaussianFit:
    """Gaussian of deviations from the mean of one's own group: mean zero, covariance Σ weight · S."""
    rows = [weight**0.5 * group.factor for group, weight in zip(groups, weights, strict=True)]
    return GaussianFit(0 * groups[0].mean, _fewest_rows(_namespace(rows[0]).concatenate(rows)))


def squared_distance(a: GaussianFit, b: GaussianFit) -> float:
    """Squared 2-Wasserstein distance of two Gaussians, ≥ 0."""
    return float(distance_matrix([a], [b])[0, 0])


def distance_to(reference: GaussianFit, x: Array) -> float:
    """`squared_distance` of `reference` to the Gaussian of x, (n, d), quickest where n > d and d is large.

    There it takes the covariance of x instead of a factor, where the loss of digits is bounded as it is for
    `distance_matrix`. Meant for one reference set and many sets to score. Raises ValueError.
    """
    x = as_samples(x)
    if len(x) > x.shape[1] and not _is_small(reference.factor):
        mean, rows = _centred(x)
        _check_comparable([reference, GaussianFit(mean, rows)])
        covariance = rows.T @ rows / (len(x) - 1)
        variance = reference.total_variance + float(covariance.trace())
        gram = reference.factor @ covariance @ reference.factor.T
        nuclear, error = _root_traces(gram[None], reference.norm * float((covariance**2).sum()) ** 0.5)
        if error[0] <= TOLERANCE / 2 * variance:
            return max(float(((mean - reference.mean) ** 2).sum() + variance - 2 * nuclear[0]), 0.0)
    return squared_distance(reference, fit(x))


def distance_matrix(a: Sequence[GaussianFit], b: Sequence[GaussianFit]) -> np.ndarray:
    """`squared_distance` of each of `a` to each of `b`, (len(a), len(b)); half the work where `a is b`.

    Raises ValueError where their dimensions differ or some are NumPy's and others torch's.
    """
    _check_comparable([*a, *b])
    values = np.zeros((len(a), len(b)))
    # Products of equal shape are decomposed in one call.
    for rank in sorted({len(q.factor) for q in b}):
        columns = [j for j, q in enumerate(b) if len(q.factor) == rank]
        xp = _namespace(b[columns[0]].mean)
        means = xp.stack([b[j].mean for j in columns])
        factors = xp.stack([b[j].factor for j in columns])
        variances = (factors**2).sum((-2, -1))
        for i, p in enumerate(a):
            later = slice(bisect(columns, i) if a is b else 0, None)
            if not columns[later]:
                continue
            variance = p.total_variance + variances[later]
            nuclear = _nuclear_norms(p.factor @ factors[later].mT, TOLERANCE / 2 * variance)
            row = ((means[later] - p.mean) ** 2).sum(-1) + variance - 2 * nuclear
            # Rounding may leave a distance of zero slightly negative.
            values[i, columns[later]] = as_numpy(row.clip(min=0))
    return values + values.T if a is b else values


def frechet_distance(x: Array, y: Array) -> float:
    """Fréchet distance of two sets of features, (n, d) and (m, d); in squared feature units, lower is better.

    It is FID only when the features are Inception-v3's pool3 (Heusel et al. 2017). Biased upwards by few
    samples: for equal N(0, I) by (1/n + 1/m)(d + d(d+1)/4) to first order; see `extrapolated_distance`.
    """
    x, y = as_samples(x), as_samples(y)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a Fréchet distance needs two samples on each side, got {len(x)} and {len(y)}")
    return distance_to(fit(x), y)


def extrapolated_distance(reference: GaussianFit, x: Array, *, points: int = 15, seed: int = 0) -> float:
    """Fréchet distance of `reference` to infinitely many samples like x, (n, d) with n ≥ 20: FID_∞.

    The intercept of a straight line in 1/m through the distances of `points` random subsets of m = n/10 … n
    samples (M. Chong, D. Forsyth 2020, §3). It removes what few samples of x add, not what those of the
    reference do, and only as far as the bias is linear in 1/m: m above d. An estimate, so it may be negative.
    Raises ValueError.
    """
    x = as_samples(x)
    if len(x) < 20 or points < 2:
        raise ValueError(f"extrapolation needs 20 samples and 2 points, got {len(x)} and {points}")
    sizes = np.linspace(len(x) // 10, len(x), points).astype(int)
    rng = np.random.default_rng(seed)
    values = [squared_distance(reference, fit(x[rng.permutation(len(x))[:m]])) for m in sizes]
    return float(np.polyfit(1 / sizes, values, 1)[1])


def _nuclear_norms(products: Array, allowed: Array) -> Array:
    """Sum of the singular values of each matrix of (g, r, s), wrong by no more than `allowed`, (g,)."""
    xp = _namespace(products)
    if products.shape[1] > products.shape[2]:
        products = products.mT
    if _is_small(products):
        return xp.linalg.svdvals(products).sum(-1)
    norms, error = _root_traces(products @ products.mT)
    uncertain = error > allowed
    if uncertain.any():
        norms[uncertain] = xp.linalg.svdvals(products[uncertain]).sum(-1)
    return norms


def _root_traces(grams: Array, scale: float = 0.0) -> tuple[Array, Array]:
    """Trace of the root of each positive semi-definite matrix of (g, r, r), and a bound on its error, (g,).

    scale: Frobenius norm of the terms that were summed to the matrix, where that is larger than its own.

    Roots of computed eigenvalues lose half of the digits of small ones. Rounding moves the eigenvalues λ by
    amounts whose squares sum to at most noise² (A. Hoffman, H. Wielandt 1953; measured up to r = 1000: half
    of the noise assumed here, or less), hence their roots by no more than noise · √(Σ 1/λ) in sum (Cauchy and
    Schwarz). An eigenvalue that is lost in the noise makes the bound infinite.
    """
    xp, size = _namespace(grams), grams.shape[-1]
    eigenvalues = xp.linalg.eigvalsh(grams).clip(min=0)
    precision = xp.finfo(grams.dtype)
    norm = xp.sqrt((eigenvalues**2).sum(-1)).clip(min=scale)
    noise = 2 * size**0.5 * precision.eps * norm + precision.tiny / precision.eps
    error = noise * xp.sqrt((1 / xp.maximum(eigenvalues, noise[:, None])).sum(-1))
    error[eigenvalues[:, 0] <= noise] = float("inf")
    return xp.sqrt(eigenvalues).sum(-1), error


def _is_small(matrices: Array) -> bool:
    """Whether singular values cost little more than a Gram matrix's eigenvalues, and so are always taken."""
    return bool(min(matrices.shape[-2:]) < GRAM_FROM and str(matrices.device) == "cpu")


def _centred(x: Array) -> tuple[Array, Array]:
    """Mean (d,) and deviations from it (n, d). An offset far larger than the spread costs no digits."""
    rows = x - x[0]
    mean = rows.mean(0)
    rows -= mean
    return x[0] + mean, rows


def _fewest_rows(rows: Array) -> Array:
    """A matrix with the same AᵀA and no more rows than columns."""
    if len(rows) <= rows.shape[1]:
        return rows
    xp = _namespace(rows)
    return xp.linalg.qr(rows, mode="r") if xp is np else xp.linalg.qr(rows, mode="r").R


def _blocks(batches: Iterable[Array]) -> Iterator[Array]:
    """The batches, joined until a block is long enough for its QR to cost little more than its rows do."""
    waiting: list[Array] = []
    dimensions = None
    for batch in map(as_samples, batches):
        dimensions = dimensions or batch.shape[1]
        if batch.shape[1] != dimensions:
            raise ValueError(f"batches have {dimensions} and {batch.shape[1]} dimensions")
        waiting.append(batch)
        if sum(map(len, waiting)) >= 4 * dimensions:
            yield _namespace(batch).concatenate(waiting)
            waiting = []
    if waiting:
        yield _namespace(batch).concatenate(waiting)


def _check_comparable(fits: Sequence[GaussianFit]) -> None:
    for what, values in (
        ("dimensions", {str(f.mean.shape[-1]) for f in fits}),
        ("arrays", {f"{type(f.mean).__name__} on {f.mean.device}" for f in fits}),
    ):
        if len(values) > 1:
            raise ValueError(f"sets of different {what} have no distance: {', '.join(sorted(values))}")


def _namespace(x: Array) -> Any:
    """torch for a tensor, otherwise numpy. Who has a tensor has imported torch."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np
