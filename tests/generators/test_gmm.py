"""The Gaussian mixture: it finds the truth, goes on from its last fit, and collapses as theory says."""

from __future__ import annotations

import pytest
import torch

from cl_bench.benchmarks.mixtures import GMM5, GMM5Options
from cl_bench.errors import UserError
from cl_bench.generators.gmm import GMM, GMMOptions
from cl_bench.law import MixtureLaw
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec


def make(classes: int = 1, **options: object) -> GMM:
    spec = StreamSpec("vector", (2,), tuple(map(str, range(classes))), 1)
    return GMM(spec, GMMOptions(**options), torch.device("cpu"), Progress(quiet=True))  # type: ignore[arg-type]


def labelled(x: torch.Tensor) -> Samples:
    return Samples.real(x.float(), torch.zeros(len(x)).long())


def fitted(generator: GMM, data: Samples, seed: int = 0) -> GMM:
    with isolated(seed, "fit"):
        generator.fit(data)
    return generator


def test_five_gaussians_are_recovered() -> None:
    benchmark = GMM5(GMM5Options())
    generator = fitted(make(components=5, restarts=2), benchmark.build().tasks[0].train)
    law, truth = generator.law(), benchmark.law()
    assert isinstance(law, MixtureLaw)
    distance = torch.cdist(law.centres[0], truth.centres[0])
    assert sorted(distance.argmin(1).tolist()) == [0, 1, 2, 3, 4]
    # About 1,000 samples a mode: five standard errors of a mean, of a weight, of a variance.
    assert distance.min(1).values.max() < 5 * 0.3 * (2 / 1000) ** 0.5
    assert (law.weights - 0.2).abs().max() < 5 * (0.16 / 5000) ** 0.5
    assert law.compared(truth)["component_spread"].item() == pytest.approx(1, abs=5 * (1 / 5000) ** 0.5)


def test_one_component_is_the_gaussian_of_maximum_likelihood() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 2) @ torch.tensor([[2.0, 1], [0, 0.5]])
    generator = fitted(make(components=1, reg_covar=0.01), labelled(x))
    expected = x.double().T.cov(correction=0) + 0.01 * torch.eye(2)
    assert torch.allclose(generator.covariances[0, 0], expected, rtol=1e-6)
    assert torch.allclose(generator.centres[0, 0], x.double().mean(0), atol=1e-9)
    torch.manual_seed(1)
    n = 100_000
    drawn = generator.sample(torch.zeros(n).long()).double()
    scale = expected.diagonal().sqrt()
    assert ((drawn.T.cov() - expected).abs() < 5 * (2 / n) ** 0.5 * scale[:, None] * scale).all()


def test_a_fit_begins_at_the_last_one() -> None:
    data = GMM5(GMM5Options(n=1000)).build().tasks[0].train
    first = fitted(make(components=5), data, seed=1)
    again = make(components=5, max_iter=1)
    again.load_state_dict(first.state_dict())
    before = again.centres.clone()
    fitted(again, data, seed=2)
    # One step from an optimum hardly moves, component by component.
    assert (again.centres - before).abs().max() < 0.01
    anew = make(components=5, max_iter=1, init="k-means")
    anew.load_state_dict(first.state_dict())
    assert (fitted(anew, data, seed=2).centres - before).abs().max() > 0.01


def test_components_of_a_loop_shrink_by_sampling_error_alone() -> None:
    # One component: E tr Σ_t = (1 − 1/n)^t tr Σ_0, as of the Gaussian's maximum likelihood.
    n, rounds, copies = 8, 3, 40
    ratios = []
    for seed in range(copies):
        with isolated(seed, "loop"):
            generator = make(components=1, reg_covar=0.0)
            x = torch.randn(n, 2)
            for _ in range(rounds):
                generator.fit(labelled(x))
                x = generator.sample(torch.zeros(n).long())
        ratios.append(generator.covariances[0, 0].trace() / 2)
    found = torch.stack(ratios)
    assert abs(found.mean() - (1 - 1 / n) ** rounds) < 5 * found.std() / copies**0.5


def test_it_is_seeded_and_a_copy_samples_the_same() -> None:
    data = GMM5(GMM5Options(n=300)).build().tasks[0].train
    one, two = fitted(make(components=3), data), fitted(make(components=3), data)
    assert torch.equal(one.centres, two.centres)
    copy = make(components=3)
    copy.load_state_dict(one.state_dict())
    y = torch.zeros(20).long()
    with isolated(0, "a"):
        x = one.sample(y)
    with isolated(0, "a"):
        assert torch.equal(copy.sample(y), x)


def test_what_it_refuses() -> None:
    with pytest.raises(UserError, match="2 samples of class 0 are too few for 5"):
        make(components=5).fit(labelled(torch.randn(2, 2)))
    with pytest.raises(UserError, match="has not seen"):
        make().sample(torch.zeros(1).long())
    with pytest.raises(UserError, match="raise reg_covar"):
        make(components=2, reg_covar=0.0).fit(labelled(torch.ones(10, 2)))
