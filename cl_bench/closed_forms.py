"""Values that theory gives, by name, for claims to compare measurements with.

A closed form is a function of numbers. The recipe gives its arguments, but for what is known of a run at the
stage where the claim looks: `t`, tasks learned so far (from 1), and `classes`, classes seen so far.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from cl_bench.errors import UserError, unknown

F = TypeVar("F", bound=Callable[..., float])

FROM_THE_RUN = ("t", "classes")

_FORMS: dict[str, Callable[..., float]] = {}


def closed_form(name: str) -> Callable[[F], F]:
    """Register a function under `name`. Raises UserError when the name is taken."""

    def decorate(function: F) -> F:
        if name in _FORMS:
            raise UserError(f"closed form {name!r} is registered twice; rename one")
        _FORMS[name] = function
        return function

    return decorate


def check(name: str, given: Mapping[str, float], constants: Mapping[str, float], stage: bool) -> None:
    """Raises UserError unless `name` is a closed form with all it needs and nothing `given` that it does not.

    stage: whether what is known of a run at one stage can be had, too.
    """
    if name not in _FORMS:
        raise unknown("closed form", name, _FORMS)
    parameters = inspect.signature(_FORMS[name]).parameters
    for key in given:
        if key not in parameters:
            raise UserError(f"closed form {name!r}: {unknown('argument', key, parameters)}")
    for key, parameter in parameters.items():
        found = key in given or key in constants or (stage and key in FROM_THE_RUN)
        if not found and parameter.default is parameter.empty:
            raise UserError(f"closed form {name!r} needs the argument {key!r}")


def evaluate(name: str, given: Mapping[str, float], known: Mapping[str, float]) -> float:
    """Its value; what is `given` wins over what is `known` besides."""
    function = _FORMS[name]
    parameters = inspect.signature(function).parameters
    return float(
        function(**({key: value for key, value in known.items() if key in parameters} | dict(given)))
    )


@closed_form("chance")
def chance(classes: float) -> float:
    """Accuracy of guessing among classes with as many test samples each: 1/classes."""
    return 1 / classes


@closed_form("replaced-depth")
def replaced_depth(t: float) -> float:
    """Generation depth after t generations of a loop that replaces its data by its samples: t."""
    return t


@closed_form("gaussian-replace-variance")
def gaussian_replace_variance(t: float, n: float) -> float:
    """E σ²_t / σ²_0 = (1 − 1/n)^t: a Gaussian refitted t times by maximum likelihood to n of its own samples
    (Shumailov et al. 2023)."""
    return (1 - 1 / n) ** t


@closed_form("gaussian-replace-std")
def gaussian_replace_std(t: float, n: float) -> float:
    """E σ_t / σ_0 = (√(2/n) Γ(n/2)/Γ((n−1)/2))^t of the same loop."""
    return math.exp(t * (math.log(2 / n) / 2 + math.lgamma(n / 2) - math.lgamma((n - 1) / 2)))


@closed_form("gaussian-accumulate-variance")
def gaussian_accumulate_variance(t: float, n: float) -> float:
    """E σ²_t / σ²_0 = Π_{s ≤ t} (1 − 1/(n s²)): refitted to the union of all generations, n samples each."""
    return math.prod(1 - 1 / (n * s * s) for s in range(1, round(t) + 1))


@closed_form("gaussian-replace-w2")
def gaussian_replace_w2(t: float, n: float) -> float:
    """E W₂²(p₀, p_t)/σ²_0 = 2(1 − (E σ_1/σ_0)^t) of the same loop, bounded by 2."""
    return 2 * (1 - gaussian_replace_std(t, n))


@closed_form("gaussian-replace-mean-error")
def gaussian_replace_mean_error(t: float, n: float) -> float:
    """E(μ_t − μ_0)²/σ²_0 = 1 − (1 − 1/n)^t of the same loop."""
    return 1 - gaussian_replace_variance(t, n)


@closed_form("gaussian-unbiased-std")
def gaussian_unbiased_std(t: float, n: float) -> float:
    """E σ_t / σ_0 = (√(2/(n−1)) Γ(n/2)/Γ((n−1)/2))^t with unbiased variances (Bertrand et al. 2024, prop.
    1)."""
    return math.exp(t * _log_unbiased_std(n))


@closed_form("gaussian-unbiased-w2")
def gaussian_unbiased_w2(t: float, n: float, growth: float = 0.0) -> float:
    """E W₂²(p₀, p_t)/σ²_0 = Σ 1/n_s + 2 − 2 Π E(σ of n_s) with unbiased variances, n_s = ⌊n s^growth⌋ samples
    in generation s ≤ t. It grows for ever, unless sizes grow faster than linearly (Shumailov et al. 2023)."""
    sizes = [math.floor(n * s**growth + 1e-9) for s in range(1, round(t) + 1)]
    shrunk = math.exp(math.fsum(_log_unbiased_std(size) for size in sizes))
    return math.fsum(1 / size for size in sizes) + 2 - 2 * shrunk


@closed_form("gaussian-unbiased-mean-error")
def gaussian_unbiased_mean_error(t: float, n: float, d: float = 1.0) -> float:
    """E‖μ_t − μ_0‖² = d t/n with Σ_0 = I in d dimensions and unbiased covariances."""
    return d * t / n


@closed_form("gaussian-unbiased-log-det")
def gaussian_unbiased_log_det(t: float, n: float, d: float = 1.0) -> float:
    """E log |Σ_t| − log |Σ_0| = t Σ_{i=1..d} (ψ((n−i)/2) + log(2/(n−1))): a random walk downwards."""
    from scipy.special import digamma

    steps = (float(digamma((n - i) / 2)) + math.log(2 / (n - 1)) for i in range(1, round(d) + 1))
    return t * math.fsum(steps)


@closed_form("gaussian-unbiased-second-moment")
def gaussian_unbiased_second_moment(t: float, n: float, d: float = 1.0) -> float:
    """E tr Σ²_t / tr Σ²_0 from Σ_0 = I in d dimensions, unbiased: powers of [[1+1/k, 1/k], [2/k, 1]], k =
    n−1, applied to (tr Σ², (tr Σ)²)."""
    return _wishart_moments(t, n, d)[0]


@closed_form("gaussian-unbiased-variance-squared")
def gaussian_unbiased_variance_squared(t: float, n: float, d: float = 1.0) -> float:
    """E (tr Σ_t)² / (tr Σ_0)² of the same loop."""
    return _wishart_moments(t, n, d)[1]


@closed_form("gaussian-mixed-variance")
def gaussian_mixed_variance(t: float, n: float, lambda_: float, real: float = 1.0) -> float:
    """E σ²_t / σ²_0 of a Gaussian refitted by maximum likelihood to the same r = real · n of its n real
    samples and m = ⌊λn⌋ synthetic ones (Bertrand et al. 2024 with real = 1).

    With q = m/(r + m), v = 1 − 1/r, s_1 = 1 − 1/n and a_1 = 1/r − 1/n, the squared distance of the mean from
    that of the r real samples: a_{t+1} = q²(a_t + s_t/m), s_{t+1} = (1 − q) v + q(1 − 1/m) s_t + q(1 − q)(a_t
    + s_t/m).
    """
    r, m = round(real * n), math.floor(lambda_ * n + 1e-9)
    q, v, s, a = m / (r + m), 1 - 1 / r, 1 - 1 / n, 1 / r - 1 / n
    for _ in range(round(t) - 1):
        strayed = a + s / m if m else 0.0
        within = (1 - 1 / m) * s if m else 0.0
        s, a = (1 - q) * v + q * within + q * (1 - q) * strayed, q * q * strayed
    return s


@closed_form("gaussian-mixed-mean-error")
def gaussian_mixed_mean_error(t: float, n: float, lambda_: float, real: float = 1.0) -> float:
    """E(μ_t − μ_0)²/σ²_0 of the loop of `gaussian-mixed-variance`: what the variance has lost, the mean has
    strayed, E[σ²_t + (μ_t − μ_0)²] = σ²_0."""
    return 1 - gaussian_mixed_variance(t, n, lambda_, real)


@closed_form("gaussian-fresh-variance")
def gaussian_fresh_variance(t: float, n: float, lambda_: float) -> float:
    """E σ²_t / σ²_0 with n new real samples in each generation instead: 1 − u_t, u_{t+1} = 1/(n + m) + q²(1 −
    1/m) u_t, u_1 = 1/n."""
    m = math.floor(lambda_ * n + 1e-9)
    q, u = m / (n + m), 1 / n
    for _ in range(round(t) - 1):
        u = 1 / (n + m) + (q * q * (1 - 1 / m) * u if m else 0.0)
    return 1 - u


@closed_form("accumulate-limit-variance")
def accumulate_limit_variance(n: float) -> float:
    """lim E σ²_t / σ²_0 = sin(π/√n)/(π/√n) where all generations, of n samples each, are kept (Gerstgrasser
    et al. 2024)."""
    return math.sin(math.pi / math.sqrt(n)) / (math.pi / math.sqrt(n))


@closed_form("heterozygosity")
def heterozygosity(t: float, n: float) -> float:
    """E(1 − Σp²_t)/(1 − Σp²_0) = (1 − 1/n)^t of categories re-estimated from n of their own samples
    (Wright-Fisher)."""
    return (1 - 1 / n) ** t


@closed_form("zipf-support")
def zipf_support(t: float, n: float, k: float, exponent: float = 1.0) -> float:
    """Expected number of categories among n draws of k with probabilities ∝ 1/i^exponent, Σ 1 − (1 − p_i)^n:
    what the first generation still has (t = 1; NaN later, where no closed form is known)."""
    weights = [i**-exponent for i in range(1, round(k) + 1)]
    total = math.fsum(weights)
    return math.fsum(1 - (1 - w / total) ** n for w in weights) if t == 1 else math.nan


@closed_form("kde-variance")
def kde_variance(t: float, n: float, bandwidth: float) -> float:
    """E of a kernel density estimate's variance over σ²_0 = 1 after t fits to n of its own samples, kernel
    N(0, h²): (1 − 1/n)^t + h²(n − 1)(1 − (1 − 1/n)^{t−1}) + h²."""
    kept, h2 = 1 - 1 / n, bandwidth**2
    return kept**t + h2 * (n - 1) * (1 - kept ** (t - 1)) + h2


@closed_form("ols-weight-error")
def ols_weight_error(t: float, n: float, d: float, noise: float) -> float:
    """E‖w_t − w*‖² = t s² d/(n − d − 1): least squares fitted t times to its own labels of n new inputs, with
    noise of standard deviation s."""
    return t * noise**2 * d / (n - d - 1)


@closed_form("exponential-family-contraction")
def exponential_family_contraction(t: float, lambda_: float, shift: float = 1.0) -> float:
    """What is left of a shift of the mean parameters t − 1 generations after it, in any exponential family
    and for endless samples: (λ/(1 + λ))^{t−1} · shift (Bertrand et al. 2024, made sharp)."""
    return float(shift * (lambda_ / (1 + lambda_)) ** (t - 1))


@closed_form("logistic-contraction")
def logistic_contraction(t: float, lambda_: float, shape: float) -> float:
    """What is left, t − 1 generations after it, of a small shift of a logistic location fitted to a centred
    gamma law of this shape: (λμ/(1 + λμ))^{t−1}, μ = B/A (see generators/logistic.py)."""
    from scipy import integrate, optimize, stats

    law = stats.gamma(shape, loc=-shape)

    def mean(function: Callable[[float], float]) -> float:
        return float(integrate.quad(lambda x: function(x) * law.pdf(x), -shape, math.inf, epsabs=1e-12)[0])

    best = optimize.brentq(lambda at: mean(lambda x: math.tanh((x - at) / 2)), -shape, shape, xtol=1e-12)
    curvature = mean(lambda x: (1 - math.tanh((x - best) / 2) ** 2) / 2)
    mu = (1 / 3) / curvature
    return float((lambda_ * mu / (1 + lambda_ * mu)) ** (t - 1))


def _log_unbiased_std(n: float) -> float:
    return math.log(2 / (n - 1)) / 2 + math.lgamma(n / 2) - math.lgamma((n - 1) / 2)


def _wishart_moments(t: float, n: float, d: float) -> tuple[float, float]:
    """(E tr Σ²_t / d, E (tr Σ_t)² / d²) from Σ_0 = I."""
    k, square, squared = n - 1, d, d * d
    for _ in range(round(t)):
        square, squared = (1 + 1 / k) * square + squared / k, 2 / k * square + squared
    return square / d, squared / (d * d)
