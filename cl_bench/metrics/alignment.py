"""Latent alignment: do replayed classes lie in feature space where the real ones lie?

The question is that of M. Zverev, A. S. Koepke, J. F. Henriques, 2025 (arXiv 2512.11867). What of their
text could be read gives no formula; these are the standard ones, each blind to something else:

- `Centroids.cosine`: direction of each class from the middle of the real data; blind to distances.
- `procrustes_residual`: the classes' arrangement up to rotation and translation; easy to satisfy if d ≥ k.
- `gap_ratio`: how far classes lie apart, and nothing else.
- `linear_cka`: the arrangement up to rotation, translation and one scale.
- `domain_auc`: whether a linear classifier can tell real rows from replayed ones; blind to a change of spread
  that keeps the mean, as when a class collapses to its centroid.

All take features as (n, d) and labels as (n,), compute in float64 and raise ValueError for what has no
answer. Features of a network that goes on learning drift by themselves: name the extractor with each number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def linear_cka(a: np.ndarray, b: np.ndarray, unbiased: bool = False) -> float:
    """Linear centred kernel alignment of n paired rows, a (n, d₁) and b (n, d₂); 1 is best.

    ‖AᵀB‖²_F / (‖AᵀA‖_F ‖BᵀB‖_F) with centred columns (Kornblith et al. 2019, eq. 4). It is 1 exactly when
    b is a rotated, translated, scaled copy of a. The pairs are the same inputs under two networks, or the
    same classes' centroids in two sets (`Centroids.common`).

    The plain value lies in 0…1, needs n ≥ 2 and is near 1 for *unrelated* rows when n is small beside d, as
    with centroids (always 1 for n = 2). unbiased: HSIC by its unbiased estimator (Song et al. 2012;
    Nguyen et al. 2021), −1…1, needs n ≥ 4; about 0 for unrelated rows, and validly negative, never clamped.
    It has no value for rows that all lie equally far apart, like one-hot centroids, whose arrangement holds
    nothing to compare: a ValueError, as are constant features.
    """
    a, b = _matrix(a), _matrix(b)
    least = 4 if unbiased else 2
    if len(a) != len(b) or len(a) < least:
        raise ValueError(f"CKA needs {least} or more paired rows, got {len(a)} and {len(b)}")
    a, b = _centred(a, "features"), _centred(b, "features")
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    between, of_a, of_b = _hsic(a, b, unbiased), _hsic(a, a, unbiased), _hsic(b, b, unbiased)
    # The rows have unit size in all: what is left at rounding level is nothing.
    if min(of_a, of_b) < 1e-12:
        raise ValueError("unbiased CKA is undefined for rows that all lie equally far apart")
    return float(between / np.sqrt(of_a * of_b))


def _hsic(a: np.ndarray, b: np.ndarray, unbiased: bool) -> float:
    """HSIC of the linear kernels K, L of n centred rows, up to a factor that depends on n alone."""
    n = len(a)
    # Σ_ij K_ij L_ij = ‖AᵀB‖²_F, by whichever is smaller.
    kernels = n < max(a.shape[1], b.shape[1])
    biased = np.vdot(a @ a.T, b @ b.T) if kernels else np.square(a.T @ b).sum()
    if not unbiased:
        return float(biased)
    # Song's estimator leaves out the diagonals; of centred rows, the rest of row i of K then sums to −K_ii.
    k, l = np.square(a).sum(1), np.square(b).sum(1)  # noqa: E741
    return float(biased - n / (n - 2) * (k @ l) + k.sum() * l.sum() / ((n - 1) * (n - 2)))


def procrustes_residual(a: np.ndarray, b: np.ndarray) -> float:
    """What of paired rows a (k, d), k ≥ 2, no rotation, reflection and translation of b (k, d) explains; ≥ 0,
    lower is better.

    min over orthogonal Q and t of ‖A − BQ − 1tᵀ‖²_F / ‖A − 1āᵀ‖²_F = (‖A‖² + ‖B‖² − 2‖BᵀA‖_*) / ‖A‖², centred
    (Schönemann 1966). Scale is not fitted: sA leaves (1−s)², so all of b in one point leaves 1. In d ≥ k
    dimensions a rotation explains much of *unrelated* rows, too (k = 100, d = 512, both standard normal: 0.1
    is left), and all but the distance of k = 2: it is a check of shape, not of which class is where.
    """
    a, b = _centred_pair(a, b)
    # ‖BᵀA‖_* from the triangular factors of Aᵀ and Bᵀ: k×k instead of d×d where d is larger.
    r_a, r_b = (np.asarray(np.linalg.qr(m.T, mode="r")) for m in (a, b))
    nuclear = np.linalg.svd(r_b @ r_a.T, compute_uv=False).sum()
    total = np.square(a).sum()
    # Rounding may leave a residual of zero slightly negative.
    return max(float((total + np.square(b).sum() - 2 * nuclear) / total), 0.0)


def gap_ratio(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean squared distance between the rows of b (k, d) over that of a (k, d), k ≥ 2; ≥ 0, 1 is best.

    Of class centroids: below 1 the replayed classes have moved together, 0 is all in one point; sA has s.
    """
    a, b = _centred_pair(a, b)
    # Σ_ij ‖a_i − a_j‖² = 2k ‖A‖²_F for centred A.
    return float(np.linalg.norm(b) / np.linalg.norm(a))


@dataclass(frozen=True)
class Centroids:
    """Class means of a real and a replayed set.

    classes (k,): labels of the real set, ascending. real (k, d). replay (k, d), NaN rows for classes that the
    replay lacks. origin (d,): the mean of all real rows.
    """

    classes: np.ndarray
    real: np.ndarray
    replay: np.ndarray
    origin: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """Classes of the real set that the replay lacks."""
        return self.classes[np.isnan(self.replay[:, 0])]

    @property
    def common(self) -> tuple[np.ndarray, np.ndarray]:
        """Real and replayed centroids, paired, of the classes that both sets have."""
        there = ~np.isnan(self.replay[:, 0])
        return self.real[there], self.replay[there]

    @property
    def cosines(self) -> np.ndarray:
        """Cosine between real and replayed centroid, both seen from `origin`, (k,) in −1…1, higher is better;
        NaN for missing classes. A replayed centroid on the origin itself has no direction: 0."""
        real, replay = self.real - self.origin, self.replay - self.origin
        lengths, replay_lengths = np.linalg.norm(real, axis=1), np.linalg.norm(replay, axis=1)
        rounding = 1e-12 * np.abs(self.real).max()
        if lengths.min() <= rounding:
            lost = self.classes[lengths.argmin()]
            raise ValueError(f"the centroid of real class {lost} is the mean of all: it has no direction")
        products = (real * replay).sum(1)
        products[replay_lengths <= rounding] = 0
        return np.clip(products / (lengths * np.maximum(replay_lengths, rounding)), -1, 1)

    @property
    def cosine(self) -> float:
        """Mean of `cosines` over all real classes, −1…1, higher is better; a missing class counts 0."""
        return float(np.nan_to_num(self.cosines).mean())


def centroids(x_r: np.ndarray, y_r: np.ndarray, x_s: np.ndarray, y_s: np.ndarray) -> Centroids:
    """Class means of real (x_r, y_r) and replayed (x_s, y_s) rows; the sets may differ in size.

    ValueError when a set is empty or not finite, or the replay has a class that the real set lacks.
    """
    (x_r, y_r), (x_s, y_s) = _labelled(x_r, y_r), _labelled(x_s, y_s)
    classes = _classes(y_r, y_s)
    real = np.stack([x_r[y_r == c].mean(0) for c in classes])
    nothing = np.full(x_r.shape[1], np.nan)
    replay = np.stack([x_s[y_s == c].mean(0) if (y_s == c).any() else nothing for c in classes])
    return Centroids(classes, real, replay, x_r.mean(0))


def domain_auc(real: np.ndarray, replay: np.ndarray, folds: int = 5, seed: int = 0) -> float:
    """How well a linear classifier tells real rows (n, d) from replayed ones (m, d): AUC in 0…1, ½ is best.

    Logistic regression (L2, C = 1, balanced weights) on features standardised by the training part; the mean
    over stratified, seeded `folds` of the area under the ROC curve on the part held out. The folds' areas are
    averaged, for the area of scores pooled over folds is biased below ½ (Airola et al. 2011).

    Two draws of one law give ½ on average at every size, with a standard deviation near √((n + m) / 6nm):
    0.06 for 100 rows each, 0.14 for 20 (measured; the folds share what they train on). Below that band: rows
    of one set are near copies of rows of the other, as when replay repeats the real rows judged; not clamped.
    Rows repeated within one set raise it. Needs 2·folds rows of each set, or raises ValueError.
    Classes in other proportions are a difference too: see `domain_auc_per_class`.
    """
    real, replay = _matrix(real), _matrix(replay)
    if min(len(real), len(replay)) < 2 * folds:
        raise ValueError(f"domain AUC needs {2 * folds} rows of each set, got {len(real)} and {len(replay)}")
    if real.shape[1] != replay.shape[1]:
        raise ValueError(f"features differ in width: {real.shape[1]} and {replay.shape[1]}")
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, side = np.concatenate([real, replay]), np.repeat([0, 1], [len(real), len(replay)])
    judge: Any = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    areas = [
        roc_auc_score(side[held_out], judge.fit(x[rest], side[rest]).decision_function(x[held_out]))
        for rest, held_out in StratifiedKFold(folds, shuffle=True, random_state=seed).split(x, side)
    ]
    return float(np.mean(areas))


def domain_auc_per_class(
    x_r: np.ndarray, y_r: np.ndarray, x_s: np.ndarray, y_s: np.ndarray, folds: int = 5, seed: int = 0
) -> dict[int, float]:
    """`domain_auc` within each real class, by label, ascending; NaN where a set has too few rows."""
    (x_r, y_r), (x_s, y_s) = _labelled(x_r, y_r), _labelled(x_s, y_s)
    found = {}
    for c in _classes(y_r, y_s):
        real, replay = x_r[y_r == c], x_s[y_s == c]
        enough = min(len(real), len(replay)) >= 2 * folds
        found[int(c)] = domain_auc(real, replay, folds, seed) if enough else float("nan")
    return found


def _matrix(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"expected features as (n, d), not empty, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("features hold NaN or infinity")
    return x


def _labelled(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = _matrix(x), np.asarray(y)
    if y.shape != (len(x),):
        raise ValueError(f"expected a label for each of {len(x)} rows, got shape {y.shape}")
    return x, y


def _classes(y_r: np.ndarray, y_s: np.ndarray) -> np.ndarray:
    extra = np.setdiff1d(y_s, y_r)
    if len(extra):
        raise ValueError(f"replay has classes that the real set lacks: {', '.join(map(str, extra))}")
    return np.unique(y_r)


def _centred_pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = _matrix(a), _matrix(b)
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"expected two or more paired rows of one width, got shapes {a.shape} and {b.shape}")
    return _centred(a, "the real rows"), b - b.mean(0)


def _centred(x: np.ndarray, what: str) -> np.ndarray:
    centred = x - x.mean(0)
    if np.abs(centred).max() <= 1e-12 * np.abs(x).max():
        raise ValueError(f"{what} are constant: there is no arrangement to compare")
    return centred
