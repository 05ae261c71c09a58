"""A mixture of Gaussians per class, fitted by expectation maximisation: the loop of two Gaussians.

A. Dempster, N. Laird, D. Rubin 1977; as a self-consuming loop I. Shumailov et al. 2023 (arXiv 2305.17493);
the oracle beside which a WGAN on gmm5 is judged: what it loses, sampling error alone explains.

  p(x) = Σ_k π_k N(x; μ_k, Σ_k), full covariances, by scikit-learn's GaussianMixture

`reg_covar` is added to the diagonal of every covariance that EM estimates. It is the floor that a collapsing
component cannot fall below, and stands in the run's manifest with all options.

Deviation: a fit may go on from the last one (`init=previous`), which keeps EM in the same optimum from
generation to generation; the paper does not say. Laws compared with a true mixture by component need no
matching of components: they compare means over components.
"""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from cl_bench import register_generator
from cl_bench.costs import sampling
from cl_bench.errors import UserError
from cl_bench.generator import Generator, Guide
from cl_bench.law import Law, MixtureLaw
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.state import State
from cl_bench.stream import StreamSpec


@dataclass(frozen=True)
class GMMOptions:
    components: Annotated[int, Gt(0)] = 2
    """Gaussians per class; give those of the data, as components=5 on gmm5"""
    restarts: Annotated[int, Gt(0)] = 1
    """fits from different beginnings, of which the likeliest is kept; none are needed from a previous fit"""
    reg_covar: Annotated[float, Ge(0)] = 1e-6
    """added to the diagonal of covariances: the floor of a collapsing component"""
    init: Literal["previous", "k-means"] = "previous"
    """where EM begins: at the last fit, if there is one, or always at the clusters of k-means"""
    max_iter: Annotated[int, Gt(0)] = 1000
    """EM steps at most"""
    tol: Annotated[float, Gt(0)] = 1e-4
    """EM ends when a step raises the mean log-likelihood by less"""


@register_generator("gmm")
class GMM(Generator):
    """Gaussian mixture of vectors per class by expectation maximisation (scikit-learn)."""

    paper = "Dempster, Laird, Rubin 1977; Shumailov et al. 2023, arXiv 2305.17493"
    Options = GMMOptions

    def __init__(
        self, spec: StreamSpec, options: GMMOptions, device: torch.device, progress: Progress
    ) -> None:
        super().__init__(spec, options, device, progress)
        if spec.modality != "vector":
            raise UserError(f"generator 'gmm' makes vectors, not {spec.modality} data")
        classes, k, d = spec.num_classes, options.components, math.prod(spec.shape)
        # A class whose weights are all 0 has not been fitted.
        self.weights = torch.zeros(classes, k, dtype=torch.float64)
        self.centres = torch.zeros(classes, k, d, dtype=torch.float64)
        self.covariances = torch.zeros(classes, k, d, d, dtype=torch.float64)

    def fit(self, data: Samples) -> None:
        if "sklearn.mixture" not in sys.modules:
            with self.progress.loading("scikit-learn"):
                import sklearn.mixture  # noqa: F401
        for c in data.classes:
            self._fit(c, data.of((c,)).x.flatten(1).double())

    def _fit(self, c: int, x: Tensor) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        options = self.options
        if len(x) < max(options.components, 2):
            raise UserError(
                f"generator 'gmm': {len(x)} samples of class {c} are too few for {options.components} "
                "components"
            )
        begun = options.init == "previous" and bool(self.weights[c].any())
        model: Any = GaussianMixture(
            options.components,
            tol=options.tol,
            reg_covar=options.reg_covar,
            max_iter=options.max_iter,
            n_init=1 if begun else options.restarts,
            # Given a beginning, scikit-learn makes one all the same: this kind takes no time.
            init_params="random_from_data" if begun else "kmeans",
            random_state=int(torch.randint(2**31, ())),
            **(self._beginning(c) if begun else {}),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model.fit(x.numpy())
            except ValueError as error:
                raise UserError(
                    f"generator 'gmm': class {c} has no such mixture ({str(error).split('.')[0]}); "
                    "raise reg_covar or take fewer components"
                ) from None
        if not model.converged_:
            self.progress.say(f"generator gmm: EM of class {c} did not converge in {options.max_iter} steps")
        found = (model.weights_, model.means_, model.covariances_)
        self.weights[c], self.centres[c], self.covariances[c] = (torch.from_numpy(v) for v in found)

    def _beginning(self, c: int) -> dict[str, Any]:
        precisions = torch.linalg.inv(self.covariances[c])
        # scikit-learn asks for exact symmetry.
        symmetric = (precisions + precisions.mT) / 2
        # A weight that has underflowed would stay 0, and its logarithm is none.
        weights = self.weights[c].clamp(min=1e-12)
        return {
            "weights_init": (weights / weights.sum()).numpy(),
            "means_init": self.centres[c].numpy(),
            "precisions_init": symmetric.numpy(),
        }

    def sample(self, labels: Tensor, guide: Guide | None = None) -> Tensor:
        with sampling(len(labels)):
            x = torch.empty(len(labels), self.centres.shape[2], dtype=torch.float64)
            for c in labels.unique().tolist():
                rows = labels == c
                x[rows] = self._drawn(c, int(rows.sum()))
        return x.float().reshape(-1, *self.spec.shape)

    def _drawn(self, c: int, n: int) -> Tensor:
        if not self.weights[c].any():
            raise UserError(f"generator 'gmm' was asked for class {c}, which it has not seen")
        component = torch.multinomial(self.weights[c], n, replacement=True)
        roots = torch.linalg.cholesky(self.covariances[c])
        noise = torch.randn(n, self.centres.shape[2], dtype=torch.float64)
        return self.centres[c, component] + torch.einsum("nij,nj->ni", roots[component], noise)

    def law(self) -> Law | None:
        if self.spec.num_classes > 1 or not self.weights.any():
            return None
        return MixtureLaw.of(self.weights, self.centres, self.covariances)

    def state_dict(self) -> State:
        return {"weights": self.weights, "centres": self.centres, "covariances": self.covariances}

    def load_state_dict(self, state: State) -> None:
        for name in ("weights", "centres", "covariances"):
            setattr(self, name, state[name].clone())
