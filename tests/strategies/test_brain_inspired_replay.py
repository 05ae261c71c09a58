"""Brain-inspired replay: its formulas against closed forms, its gates, its stops, and what it keeps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from cl_bench import state as states
from cl_bench.checkpoint import kept_in
from cl_bench.errors import UserError
from cl_bench.progress import Progress
from cl_bench.samples import Samples, concat
from cl_bench.seeds import isolated
from cl_bench.strategies.brain_inspired_network import (
    BrainInspiredNetwork,
    distillation,
    gates,
    kl_of_gaussians,
    log_mixture,
    soft_targets,
)
from cl_bench.strategies.brain_inspired_replay import (
    BrainInspiredReplay,
    BrainInspiredReplayOptions,
    features_for,
    weighted,
)
from cl_bench.strategies.frozen_features import FrozenFeatures
from cl_bench.strategies.naive import Naive
from cl_bench.strategy import Setting, Strategy
from cl_bench.stream import StreamSpec, Task, TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
SMALL = {"steps": 20, "hidden": 30, "latent": 5, "batch": 16}
FROZEN = SMALL | {"feature_steps": 5}  # where convolutions are trained
COLOUR = StreamSpec("image", (3, 32, 32), ("a", "b", "c", "d"), 2)


def make(spec: StreamSpec, **options: object) -> BrainInspiredReplay:
    with isolated(0, "init"):
        return BrainInspiredReplay(
            Setting(spec, CPU, QUIET, None),
            BrainInspiredReplayOptions(**options),  # type: ignore[arg-type]
        )


def learn(strategy: Strategy, task: Task) -> None:
    with isolated(0, "observe", task.index):
        strategy.observe(task)


def normal(mean: Tensor, log_variance: Tensor) -> Independent:
    return Independent(Normal(mean, (log_variance / 2).exp()), 1)


def modes(d: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """mean, log variance, z (7, d); means and log variances of three modes (3, d)."""
    torch.manual_seed(0)
    return torch.randn(7, d), torch.randn(7, d), torch.randn(7, d), torch.randn(3, d), torch.randn(3, d)


def test_kl_to_a_gaussian_mode() -> None:
    mean, log_variance, _, means, log_variances = modes(4)
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    expected = kl_divergence(normal(mean, log_variance), normal(means[y], log_variances[y]))
    assert torch.allclose(
        kl_of_gaussians(mean, log_variance, means[y], log_variances[y]), expected, atol=1e-4
    )


def test_log_likelihood_of_the_mixture_of_modes() -> None:
    _, _, z, means, log_variances = modes(4)
    p = torch.rand(7, 3)
    p = p / p.sum(1, keepdim=True)
    p[0] = torch.tensor([1.0, 0.0, 0.0])
    expected = MixtureSameFamily(
        Categorical(p), normal(means.expand(7, 3, 4), log_variances.expand(7, 3, 4))
    ).log_prob(z)
    given = log_mixture(z, p, means.requires_grad_(), log_variances)
    assert torch.allclose(given, expected, atol=1e-4)
    given.sum().backward()
    assert means.grad is not None
    assert means.grad.isfinite().all(), "probabilities of zero leave no NaN in the gradient"


def network(**changes: object) -> BrainInspiredNetwork:
    settings = {
        "inputs": 6, "classes": 3, "hidden": 10, "latent": 4,
        "feedback": True, "conditional": True, "gated": 0.8, "binary": True,
    }  # fmt: skip
    torch.manual_seed(0)
    return BrainInspiredNetwork(**(settings | changes))  # type: ignore[arg-type]


def test_the_network_s_divergence_is_to_the_mode_the_mixture_or_the_standard_normal() -> None:
    net = network()
    mean, log_variance, z, means, log_variances = modes(4)
    net.prior_mean.data, net.prior_log_variance.data = means, log_variances  # type: ignore[union-attr]
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    p = torch.nn.functional.one_hot(y, 3).float()
    q = normal(mean, log_variance)
    exact = kl_divergence(q, normal(means[y], log_variances[y]))
    assert torch.allclose(net.divergence(mean, log_variance, z, p, known=True), exact, atol=1e-4)
    # One sample of z estimates it: the mean of many comes close.
    many = torch.cat([net.divergence(mean, log_variance, q.sample(), p, False)[:1] for _ in range(4000)])
    error = many.std().item() / math.sqrt(len(many))
    assert many.mean().item() == pytest.approx(exact[0].item(), abs=4 * error)
    standard = network(conditional=False).divergence(mean, log_variance, z, p, known=False)
    expected = kl_divergence(q, normal(torch.zeros(7, 4), torch.zeros(7, 4)))
    assert torch.allclose(standard, expected, atol=1e-4)


def test_reconstruction_is_cross_entropy_of_pixels_and_half_the_squared_error_of_features() -> None:
    x = torch.tensor([[0.0, 1.0, 0.25]])
    out = torch.tensor([[0.5, 2.0, -1.0]])
    q = out.sigmoid()
    by_hand = -(x * q.log() + (1 - x) * (1 - q).log()).mean(1)
    assert torch.allclose(network(binary=True).reconstruction(out, x), by_hand, atol=1e-6)
    squared = network(binary=False).reconstruction(out, x)
    assert squared.item() == pytest.approx((0.25 + 1.0 + 1.5625) / 6)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_gates_switch_the_right_share_off_each_class_its_own(share: float) -> None:
    masks = gates(2, 5, 40, share)
    assert masks.unique().tolist() == ([1.0] if not share else [0.0, 1.0])
    assert bool((masks.sum(2) == 40 - round(share * 40)).all())
    if share:
        assert len({tuple(mask.tolist()) for mask in masks.view(10, 40)}) == 10


def test_gates_act_in_the_decoder_only() -> None:
    net = network()
    x, z = torch.rand(5, 6), torch.randn(5, 4)
    first, second = (torch.nn.functional.one_hot(torch.full((5,), c), 3).float() for c in (0, 1))
    epsilon = torch.randn(5, 4)
    a, b = net(x, first, epsilon), net(x, second, epsilon)
    # Class logits, mean, log variance and z do not know the class; the decoder does.
    assert all(torch.equal(u, v) for u, v in zip(a[1:], b[1:], strict=True))
    assert not torch.allclose(a[0], b[0])
    # By hand: gated units are silent in both hidden layers.
    h1 = (net.from_z(z) * net.masks[0, 1]).relu()
    h2 = (net.back(h1) * net.masks[1, 1]).relu()
    assert torch.equal(net.decode(z, second), net.out(h2))
    assert not h2[:, net.masks[1, 1] == 0].any()
    # Soft labels weigh the masks.
    mixed = net.decode(z, first / 4 + second * 3 / 4)
    weights = net.masks[:, 0] / 4 + net.masks[:, 1] * 3 / 4
    by_hand = net.out((net.back((net.from_z(z) * weights[0]).relu()) * weights[1]).relu())
    assert torch.allclose(mixed, by_hand, atol=1e-6)
    plain = network(gated=0.0)
    assert torch.equal(plain.decode(z, first), plain.decode(z, second))


def test_gates_are_fixed_and_kept(digits: TaskStream) -> None:
    strategy = make(digits.spec, **SMALL)
    before = strategy.net.masks.clone()
    learn(strategy, digits.tasks[0])
    assert torch.equal(strategy.net.masks, before)
    assert "net.masks" in strategy.state_dict()


def test_distillation_at_temperature_two_by_hand() -> None:
    logits, old = torch.tensor([[2.0, 0.0, 4.0]]), torch.tensor([[2.0, 4.0, 99.0]])
    targets = soft_targets(old, torch.tensor([0, 1]), 2.0)
    total = math.exp(1) + math.exp(2)
    assert targets[0].tolist() == pytest.approx([math.exp(1) / total, math.exp(2) / total, 0.0])
    norm = math.log(math.exp(1) + math.exp(0) + math.exp(2))
    by_hand = -4 * (math.exp(1) / total * (1 - norm) + math.exp(2) / total * (0 - norm))
    assert distillation(logits, targets, 2.0).item() == pytest.approx(by_hand, rel=1e-5)
    one_hot = torch.tensor([[0.0, 1.0, 0.0]])
    assert distillation(logits, one_hot, 1.0).item() == pytest.approx(
        torch.nn.functional.cross_entropy(logits, torch.tensor([1])).item(), rel=1e-5
    )


@pytest.mark.parametrize("soft", [True, False])
def test_replay_is_labelled_by_the_previous_network_among_its_classes(digits: TaskStream, soft) -> None:
    strategy = make(digits.spec, **SMALL, distillation=soft)
    learn(strategy, digits.tasks[0])
    with isolated(0):
        x, p = strategy.replayed(strategy.net, torch.tensor([0, 1]))
    assert x.shape == (16, 64)
    assert not p[:, 2:].any(), "nothing for classes that it has not seen"
    assert torch.allclose(p.sum(1), torch.ones(16))
    logits = strategy.net.classify(x)[:, :2]
    expected = (logits / 2).softmax(1) if soft else (logits == logits.max(1, keepdim=True).values).float()
    assert torch.allclose(p[:, :2], expected, atol=1e-6)


def test_new_data_and_replay_are_weighted_by_the_number_of_tasks() -> None:
    new, replay = torch.tensor(3.0), torch.tensor(5.0)
    assert weighted(new, None, 1).item() == 3
    assert weighted(None, replay, 4).item() == 5
    assert weighted(new, replay, 4).item() == pytest.approx(3 / 4 + 5 * 3 / 4)


def test_the_loss_is_the_sum_of_its_three_terms(digits: TaskStream, monkeypatch) -> None:
    strategy = make(digits.spec, **SMALL)
    x, p = torch.rand(16, 64), torch.nn.functional.one_hot(torch.arange(16) % 3, 10).float()
    seen = torch.tensor([0, 1, 2])
    with isolated(1), torch.no_grad():
        given = strategy.loss(x, p, seen, known=True)
    with isolated(1), torch.no_grad():
        out, logits, mean, log_variance, _ = strategy.net(x, p, torch.randn(16, 5))
    y = p.argmax(1)
    prior = normal(strategy.net.prior_mean[y], strategy.net.prior_log_variance[y])  # type: ignore[index]
    by_hand = (
        torch.nn.functional.binary_cross_entropy_with_logits(out, x)
        + kl_divergence(normal(mean, log_variance), prior).mean() / 64
        + torch.nn.functional.cross_entropy(logits[:, :3], y)
    )
    assert given.item() == pytest.approx(by_hand.item(), rel=1e-5)


def score(strategy: Strategy, stream: TaskStream) -> float:
    """Accuracy over all classes."""
    test = concat(stream.test)
    return (strategy.predict(test.x).argmax(1) == test.y).float().mean().item()


def test_it_keeps_what_naive_training_forgets(digits: TaskStream) -> None:
    strategy = make(digits.spec, steps=100, hidden=100, latent=20)
    naive = Naive(Setting(digits.spec, CPU, QUIET, None), Naive.Options(classifier_steps=100))
    for task in digits.tasks:
        learn(strategy, task)
        learn(naive, task)
    # Seen at writing: 0.91 to 0.92 with three seeds, against 0.20.
    assert score(naive, digits) < 0.3
    assert score(strategy, digits) > 0.8
    assert [strategy.depth(c) for c in (0, 9)] == [5, 1]
    # What it generates looks like what was asked for.
    y = torch.arange(10).repeat_interleave(20)
    with isolated(0, "sample"):
        x = strategy.sample(y)
    assert x.dtype == torch.uint8
    assert x.shape == (200, 1, 8, 8)
    assert (strategy.predict(x).argmax(1) == y).float().mean() > 0.8
    with isolated(0, "sample"):
        assert torch.equal(strategy.sample(y[:3]), x[:3]), "sample i is the same in any company"


@pytest.mark.parametrize(
    ("options", "generative"),
    [
        ({}, True),
        ({"feedback": False}, True),
        ({"conditional": False}, True),
        ({"gating": 0.0}, True),
        ({"conditional": False, "gating": 0.0}, False),
        ({"distillation": False}, True),
        ({"features": "task0"}, False),
    ],
)
def test_each_part_can_be_switched_off_and_goes_on_exactly(
    digits: TaskStream, tmp_path: Path, options: dict, generative: bool
) -> None:
    strategy = make(digits.spec, **(SMALL | options))
    assert strategy.generative == generative
    learn(strategy, digits.tasks[0])
    states.save(tmp_path / "state", strategy.state_dict())
    copy = make(digits.spec, **(SMALL | options))
    copy.load_state_dict(states.load(tmp_path / "state"))
    for learner in (strategy, copy):
        learn(learner, digits.tasks[1])
    assert states.equal(strategy.state_dict(), copy.state_dict())
    assert len(strategy.predict(digits.test[0].x)) == len(digits.test[0])
    if not generative:
        with pytest.raises(UserError, match="not generative"):
            strategy.sample(torch.tensor([0]))


def test_without_feedback_the_generator_leaves_the_classifier_alone() -> None:
    net = network(feedback=False)
    x, p = torch.rand(5, 6), torch.full((5, 3), 1 / 3)
    out, logits, *_ = net(x, p, torch.randn(5, 4))
    net.reconstruction(out, x).sum().backward(retain_graph=True)
    assert net.solver is not None
    assert all(weight.grad is None for weight in [*net.solver.parameters(), *net.head.parameters()])
    assert torch.equal(logits, net.classify(x))
    together = network(feedback=True)
    logits = together(x, p, torch.randn(5, 4))[1]
    logits.sum().backward()
    assert all(weight.grad is not None for weight in together.encoder.parameters())


def interrupted_at(step: int) -> Callable[..., Tensor]:
    """`weighted`, which a training calls in each step, until it is interrupted in `step`, from 1."""
    calls = itertools.count(1)

    def go(*args: object) -> Tensor:
        if next(calls) == step:
            raise KeyboardInterrupt
        return weighted(*args)  # type: ignore[arg-type]

    return go


def test_a_stopped_training_goes_on_exactly(digits: TaskStream, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cl_bench.checkpoint.CHECKPOINT_SECONDS", 0.0)
    whole = make(digits.spec, **SMALL)
    for task in digits.tasks[:2]:
        learn(whole, task)

    stopped = make(digits.spec, **SMALL)
    learn(stopped, digits.tasks[0])
    learned = {name: value.clone() for name, value in stopped.state_dict().items()}
    with monkeypatch.context() as patch, kept_in(tmp_path):
        patch.setattr("cl_bench.strategies.brain_inspired_replay.weighted", interrupted_at(9))
        with pytest.raises(KeyboardInterrupt):
            learn(stopped, digits.tasks[1])
    assert len(list(tmp_path.iterdir())) == 1
    again = make(digits.spec, **SMALL)
    again.load_state_dict(learned)
    with kept_in(tmp_path):
        learn(again, digits.tasks[1])
    assert states.equal(again.state_dict(), whole.state_dict())
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_training_goes_on_with_the_features_it_began_with(tmp_path: Path, monkeypatch) -> None:
    """A killed task learns them once more; on a GPU no two are the same, as here."""
    monkeypatch.setattr("cl_bench.checkpoint.CHECKPOINT_SECONDS", 0.0)
    fit, seeds = FrozenFeatures.fit, iter(range(9))

    def another(self: FrozenFeatures, *args: object) -> None:
        fit(self, *args)  # type: ignore[arg-type]
        with isolated(next(seeds)):
            nn.init.normal_(self.body[0].weight)  # type: ignore[arg-type]

    monkeypatch.setattr(FrozenFeatures, "fit", another)
    stopped, again = make(COLOUR, **FROZEN), make(COLOUR, **FROZEN)
    with monkeypatch.context() as patch, kept_in(tmp_path):
        patch.setattr("cl_bench.strategies.brain_inspired_replay.weighted", interrupted_at(3))
        with pytest.raises(KeyboardInterrupt):
            learn(stopped, colours(8, (0, 1), 0))
    with kept_in(tmp_path):
        learn(again, colours(8, (0, 1), 0))
    assert stopped.features is not None
    assert again.features is not None
    assert states.equal(again.features.state_dict(), stopped.features.state_dict())


def colours(n: int, classes: tuple[int, ...], index: int) -> Task:
    y = torch.tensor(classes).repeat(n)
    with isolated(index):
        x = torch.randint(256, (len(y), 3, 32, 32), dtype=torch.uint8)
    return Task(index, classes, Samples.real(x, y), Samples.real(x[:0], y[:0]))


def test_internal_replay_freezes_its_convolutions_after_the_first_task(tmp_path: Path) -> None:
    strategy = make(COLOUR, **FROZEN)
    assert strategy.features is not None, "task0 is the default of colour images"
    assert not strategy.generative
    assert strategy.features.size == 1024
    fresh = {k: v.clone() for k, v in strategy.features.state_dict().items()}
    learn(strategy, colours(10, (0, 1), 0))
    first = {k: v.clone() for k, v in strategy.features.state_dict().items()}
    assert not states.equal(fresh, first)
    learn(strategy, colours(10, (2, 3), 1))
    assert states.equal(first, strategy.features.state_dict())
    x = colours(4, (0, 1), 3).train.x
    assert torch.allclose(strategy.predict(x)[:1], strategy.predict(x[:1]), atol=1e-4)

    # A checkpoint's layers serve another run from the start, and stay as they are.
    states.save(tmp_path / "layers.safetensors", strategy.state_dict())
    other = make(COLOUR, **SMALL, features=str(tmp_path / "layers.safetensors"))
    learn(other, colours(10, (2, 3), 0))
    assert other.features is not None
    assert states.equal(first, other.features.state_dict())
    states.save(tmp_path / "else.safetensors", {"0.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="holds no convolutional layers for images of 3×32×32"):
        make(COLOUR, **SMALL, features=str(tmp_path / "else.safetensors"))


def test_what_is_replayed_by_default() -> None:
    def auto(modality, shape) -> str:
        return features_for("auto", StreamSpec(modality, shape, ("a",), 1))

    assert auto("image", (1, 28, 28)) == "pixels"
    assert auto("image", (3, 8, 8)) == "task0"
    assert auto("image", (1, 64, 64)) == "task0"
    assert auto("vector", (5000,)) == "pixels"
    with pytest.raises(UserError, match="neither auto, pixels, task0 nor a safetensors file"):
        features_for("task1", COLOUR)
    with pytest.raises(UserError, match="takes images, not vector data"):
        features_for("task0", StreamSpec("vector", (8,), ("a",), 1))


def test_a_temperature_without_distillation_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature=3 has no effect with distillation=false"):
        BrainInspiredReplayOptions(distillation=False, temperature=3.0)
    assert make(StreamSpec("vector", (5,), ("a",), 1), **SMALL).temperature == 2


def test_training_steps_of_convolutions_that_are_not_trained_are_refused(digits: TaskStream) -> None:
    with pytest.raises(UserError, match="feature_steps has no effect on features=pixels"):
        make(digits.spec, **FROZEN)


def test_vectors_are_replayed_as_they_are() -> None:
    spec = StreamSpec("vector", (5,), ("a", "b"), 1)
    strategy = make(spec, **(SMALL | {"steps": 200, "learning_rate": 1e-2}))
    with isolated(0):
        y = torch.arange(40) % 2
        x = torch.randn(40, 5) * 0.1 + torch.tensor([[-3.0], [3.0]])[y]
    learn(strategy, Task(0, (0, 1), Samples.real(x, y), Samples.real(x[:0], y[:0])))
    with isolated(0):
        made = strategy.sample(torch.tensor([0, 1, 1]))
    assert made.dtype == torch.float32
    assert made.mean(1).sign().tolist() == [-1, 1, 1]
