"""Styles: the formulas, the first style is the base, folding, what is stored, and the compressed variant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cl_bench import state as states
from cl_bench.generators.resnet_gan_networks import Discriminator, GeneratorNetwork, geometry
from cl_bench.generators.style_modulation import (
    Columns,
    FrozenBase,
    FrozenGenerator,
    FrozenLayer,
    LowRankMatrix,
    Matrix,
    Modulation,
    StyleBank,
    StyledDiscriminator,
    StyledGenerator,
    normalised,
)
from cl_bench.seeds import isolated

SHAPE = (1, 12, 12)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with isolated(0, "test"):
        yield


@pytest.fixture
def net() -> GeneratorNetwork:
    return GeneratorNetwork(geometry(SHAPE, "tiny"), 6, 2, 3)


@pytest.fixture
def base(net: GeneratorNetwork) -> FrozenGenerator:
    return FrozenGenerator(net)


def trained(style: nn.Module, strength: float = 0.1) -> None:
    """As a training would leave it: every parameter somewhere else."""
    with torch.no_grad():
        for parameter in style.parameters():
            parameter += strength * torch.randn_like(parameter)


def drawn(net: nn.Module, classes: int = 3) -> Tensor:
    with isolated(0, "z"), torch.no_grad():
        return net(torch.randn(2 * classes, 6), torch.arange(classes).repeat(2))


# The formulas


def test_rows_and_kernels_are_normalised() -> None:
    linear, conv = torch.randn(5, 7), torch.randn(4, 3, 3, 3)
    for weight, dims, shape in ((linear, (1,), (5,)), (conv, (2, 3), (4, 3))):
        found, mean, deviation = normalised(weight)
        assert found.shape == weight.shape
        assert mean.shape == deviation.shape == shape
        assert found.mean(dims).abs().max() < 1e-5
        assert torch.allclose(found.std(dims), torch.ones(shape), atol=1e-4)  # the unbiased one
    # Nine equal taps have no deviation: nothing is divided by zero.
    flat, _, deviation = normalised(torch.full((1, 1, 3, 3), 0.5))
    assert flat.abs().max() == 0
    assert deviation.item() == pytest.approx(1e-6)


@pytest.mark.parametrize("layer", [nn.Linear(7, 5), nn.Conv2d(3, 4, 3)], ids=["mFiLM", "mAdaFM"])
def test_a_layer_in_a_style_is_the_papers(layer: nn.Linear | nn.Conv2d) -> None:
    frozen = FrozenLayer.of(layer)
    modulation = Modulation.neutral(frozen)
    weight, bias = modulation()
    assert torch.allclose(weight, layer.weight, atol=1e-6)
    assert torch.equal(bias, layer.bias)
    trained(modulation)
    weight, bias = modulation()
    scale, shift = modulation.scale(), modulation.shift()
    for index in (
        [(o,) for o in range(5)] if weight.ndim == 2 else [(o, i) for o in range(4) for i in range(3)]
    ):
        w = layer.weight[index].detach()
        expected = scale[index] * (w - w.mean()) / (w.std() + 1e-6) + shift[index]
        assert torch.allclose(weight[index], expected, atol=1e-5)
    assert torch.allclose(bias, layer.bias + modulation.bias)


def test_the_first_style_is_the_base(net: GeneratorNetwork, base: FrozenGenerator) -> None:
    z, y = torch.randn(4, 6), torch.zeros(4).long()
    same = copy_with_one_label(net)
    assert torch.allclose(StyleBank(base).first(3)(z, y), same(z, y), atol=1e-5)
    assert torch.allclose(StyleBank(base, True, 0.5).first(3)(z, y), same(z, y), atol=1e-5)


def copy_with_one_label(net: GeneratorNetwork) -> GeneratorNetwork:
    """The base as it is frozen, its labels at their mean."""
    one = GeneratorNetwork(net.body.geometry, net.latent, 1, net.label.embedding_dim)
    weights = net.state_dict()
    one.load_state_dict(weights | {"label.weight": weights["label.weight"].mean(0, keepdim=True)})
    return one


def test_the_first_critic_is_the_base_but_for_its_last_layer() -> None:
    critic = Discriminator(geometry(SHAPE, "tiny"), 2)
    styled = StyledDiscriminator(FrozenBase(critic.body), 3)
    x = torch.randn(4, *SHAPE)
    with torch.no_grad():
        features = critic.body(x)
        logits = functional.linear(features, styled.fc.weight, styled.fc.bias)
        assert torch.allclose(
            styled(x, torch.tensor([0, 1, 2, 1])), logits[range(4), [0, 1, 2, 1]], atol=1e-5
        )
    trained_names = {name for name, p in styled.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in trained_names} == {"layers", "fc"}


def test_classes_differ_by_the_bias_of_the_linear_layer_only(base: FrozenGenerator) -> None:
    style = StyleBank(base).first(2)
    z = torch.randn(1, 6).expand(2, -1)
    same = style(z, torch.arange(2))
    assert torch.allclose(same[0], same[1], atol=1e-6)
    with torch.no_grad():
        style.classes[1, 0] += 5
    other = style(z, torch.arange(2))
    assert torch.allclose(other[0], same[0], atol=1e-6)
    assert (other[1] - same[1]).abs().max() > 1e-3


def test_training_a_style_leaves_the_base_alone(net: GeneratorNetwork, base: FrozenGenerator) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    frozen = {name: layer.weight.clone() for name, layer in base.layers.items()}
    style = StyleBank(base).first(2)
    style(torch.randn(4, 6), torch.tensor([0, 1, 0, 1])).square().mean().backward()
    with torch.no_grad():
        for parameter in style.parameters():
            assert parameter.grad is not None
            parameter -= parameter.grad
    assert states.equal(net.state_dict(), before)
    assert all(torch.equal(layer.weight, frozen[name]) for name, layer in base.layers.items())


def test_folded_is_unfolded(base: FrozenGenerator) -> None:
    for compressed in (False, True):
        bank = StyleBank(base, compressed, 1.0 if compressed else None)
        for _ in range(2):
            style = bank.first(3)
            trained(style)
            state = torch.get_rng_state()
            folded = style.folded()
            assert torch.equal(torch.get_rng_state(), state)  # folding draws nothing
            assert type(folded) is GeneratorNetwork
            assert torch.allclose(drawn(folded), drawn(style), atol=1e-5)
            bank.keep(style)
            assert torch.allclose(drawn(bank.folded(len(bank) - 1)), drawn(style), atol=1e-4)


# What is stored


def test_parameters_at_256_pixels_are_the_published() -> None:
    with torch.device("meta"):
        layout = geometry((3, 256, 256), "px256")
        base = FrozenGenerator(GeneratorNetwork(layout, 256, 1, 1))
        style = StyleBank(base).first(6)
        critic = StyledDiscriminator(FrozenBase(Discriminator(layout, 1).body), 1)
    numbers = sum(p.numel() for p in style.parameters())
    assert numbers - style.classes.numel() == 10_549_248
    # The classes' own part, and the bias of the linear layer, which is a style's already.
    assert style.classes.numel() + layout.flat == 114_688
    assert sum(p.numel() for p in critic.parameters()) == 10_517_441


@pytest.mark.parametrize(("size", "expected"), [("px32", 1_829_120), ("px32-wide", 6_311_680)])
def test_parameters_at_32_pixels(size: str, expected: int) -> None:
    with torch.device("meta"):
        layout = geometry((3, 32, 32), size)  # type: ignore[arg-type]
        style = StyleBank(FrozenGenerator(GeneratorNetwork(layout, 256, 1, 1))).first(1)
    assert sum(p.numel() for p in style.parameters()) - style.classes.numel() == expected


def test_only_styles_are_stored(base: FrozenGenerator) -> None:
    bank = StyleBank(base)
    for classes in (2, 3):
        style = bank.first(classes)
        trained(style)
        bank.keep(style)
        assert bank.size(len(bank) - 1) == sum(p.numel() for p in style.parameters())
    parts = {name.rsplit(".", 1)[-1] for name in bank.state_dict()}
    assert parts == {"scale", "shift", "bias", "classes"}
    layers = {name.partition(".")[2].rpartition(".")[0] for name in bank.state_dict()} - {""}
    assert layers == set(base.layers)
    assert not any("shortcut" in name or "image" in name for name in layers)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_later_task_leaves_earlier_ones_bit_for_bit(base: FrozenGenerator, compressed: bool) -> None:
    bank = StyleBank(base, compressed, 0.6 if compressed else None)
    seen: list[Tensor] = []
    for task in range(3):
        style = bank.first(3)
        trained(style)
        bank.keep(style)
        for earlier in range(task):
            assert torch.equal(drawn(bank.folded(earlier)), seen[earlier])
        seen.append(drawn(bank.folded(task)))
    assert (seen[0] - seen[1]).abs().max() > 1e-3
    copy = StyleBank(base, compressed, 0.6 if compressed else None)
    copy.load_state_dict(bank.state_dict())
    assert all(torch.equal(drawn(copy.folded(task)), seen[task]) for task in range(3))
    assert states.equal(copy.first(2).state_dict(), bank.first(2).state_dict())


# Compression


def test_all_columns_give_the_whole_matrix_and_fewer_the_best_of_their_rank() -> None:
    empty = Columns(torch.empty(6, 0), torch.empty(4, 0), torch.empty(0))
    whole = torch.randn(6, 4)
    matrix = LowRankMatrix(empty, whole)
    assert torch.allclose(matrix(), whole)
    full = matrix.truncated(1.0)
    assert len(full.coefficients) == 4
    assert torch.allclose(full.matrix(), whole, atol=1e-5)
    values = torch.linalg.svdvals(whole)
    share = (values.cumsum(0) / values.sum())[1].item()
    two = matrix.truncated(share - 1e-4)
    assert len(two.coefficients) == 2
    # Eckart and Young: the error of the best approximation is the rest of the singular values.
    assert (two.matrix() - whole).norm().item() == pytest.approx(values[2:].norm().item(), rel=1e-4)


def test_later_tasks_share_columns_and_append_as_few_as_they_need() -> None:
    columns = LowRankMatrix(
        Columns(torch.empty(6, 0), torch.empty(4, 0), torch.empty(0)), torch.randn(6, 4)
    ).truncated(0.7)
    second = LowRankMatrix(columns, torch.zeros(6, 4))
    assert torch.allclose(second(), columns.matrix())
    with torch.no_grad():
        second.coefficients *= -1.5
    nothing = second.truncated(0.7)
    assert nothing.left.shape == (6, 0)
    assert torch.equal(nothing.coefficients, second.coefficients)
    with torch.no_grad():
        second.residual += 10 * torch.outer(torch.randn(6), torch.randn(4))
    one = second.truncated(0.7)
    assert (one.left.shape, one.right.shape) == ((6, 1), (4, 1))
    assert len(one.coefficients) == len(columns.coefficients) + 1


def test_a_task_that_needs_no_columns_goes_to_disk_and_back(base: FrozenGenerator, tmp_path: Path) -> None:
    bank = StyleBank(base, True, 0.5)
    for _ in range(2):
        bank.keep(bank.first(2))  # the second task as the first one left it
    assert bank.state_dict()["1.blocks.0.first.scale.left"].shape[1] == 0
    states.save(tmp_path / "bank.safetensors", bank.state_dict())
    copy = StyleBank(base, True, 0.5)
    copy.load_state_dict(states.load(tmp_path / "bank.safetensors"))
    assert torch.equal(drawn(copy.folded(1), 2), drawn(bank.folded(1), 2))
    assert torch.equal(drawn(copy.folded(1), 2), drawn(bank.folded(0), 2))


def test_truncated_styles_store_less(base: FrozenGenerator) -> None:
    plain, bank = StyleBank(base), StyleBank(base, True, 0.5)
    for one in (plain, bank):
        for _ in range(2):
            style = one.first(2)
            trained(style, 0.01)
            one.keep(style)
    assert bank.size(0) < plain.size(0)
    assert bank.size(1) < bank.size(0)  # columns of the first task serve the second
    names = set(bank.state_dict())
    assert "1.blocks.0.first.scale.left" in names
    assert "1.blocks.0.first.scale" not in names
    assert "1.fc.scale" in names


def test_the_published_shares_by_output_channels() -> None:
    with torch.device("meta"):
        base = FrozenGenerator(GeneratorNetwork(geometry((3, 256, 256), "px256"), 256, 1, 1))
        bank = StyleBank(base, compressed=True)
        style = bank.first(1)
    found = {name: bank.kept_mass(name) for name in base.layers}
    blocks = [(0.8, 0.8), (0.8, 0.8), (0.9, 0.9), (0.95, 0.95), (None, None), (None, None), (None, None)]
    expected = {
        f"blocks.{i}.{c}": share
        for i, pair in enumerate(blocks)
        for c, share in zip(("first", "second"), pair, strict=True)
    }
    assert found == {"fc": None} | expected
    assert isinstance(style.modulation("blocks.3.second").shift, LowRankMatrix)
    assert isinstance(style.modulation("blocks.4.first").shift, Matrix)


def test_the_rank_penalty_weighs_small_singular_values_more() -> None:
    values = torch.tensor([5.0, 3.0, 1.0])
    left, _ = torch.linalg.qr(torch.randn(4, 3))
    right, _ = torch.linalg.qr(torch.randn(3, 3))
    empty = Columns(torch.empty(4, 0), torch.empty(3, 0), torch.empty(0))
    matrix = LowRankMatrix(empty, (left * values) @ right.T)
    weights = 0.1 + torch.sigmoid(10 * torch.arange(3) / 3)
    assert matrix.penalty().item() == pytest.approx((weights * values).sum().item(), rel=1e-4)
    matrix.penalty().backward()
    assert matrix.residual.grad is not None
    assert torch.allclose(matrix.residual.grad, (left * weights) @ right.T, atol=1e-4)


def test_a_whole_style_sums_the_penalties_of_its_matrices(base: FrozenGenerator) -> None:
    assert StyleBank(base).first(2).penalty() is None
    style: StyledGenerator = StyleBank(base, True, 0.5).first(2)
    parts = [m.penalty() for m in style.modules() if isinstance(m, LowRankMatrix)]
    assert len(parts) == 2 * (len(base.layers) - 1)
    total = style.penalty()
    assert total is not None
    assert total.item() == pytest.approx(sum(p.item() for p in parts), rel=1e-5)
