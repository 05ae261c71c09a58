"""Which network for which data; the field's networks have their published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cl_bench.classifier import Classifier
from cl_bench.errors import UserError
from cl_bench.networks import body, chosen, width_of
from cl_bench.options import build
from cl_bench.progress import Progress
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategies.mix_strategy import TrainingOptions
from cl_bench.strategies.mixed import MixedOptions
from cl_bench.stream import StreamSpec
from cl_bench.torchvision_networks import weights_file

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)
COLOUR = StreamSpec("image", (3, 32, 32), tuple("abcdefghij"), 5)
DIGITS = StreamSpec("image", (1, 8, 8), tuple("abcdefghij"), 5)
FIELD = ["resnet18", "resnet32", "alexnet"]


def parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def same(a: Tensor, b: Tensor) -> bool:
    """Up to the rounding of convolutions, which differs with the size of a batch."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("modality", "shape", "convolutions"),
    [
        ("image", (1, 8, 8), 0),
        ("image", (1, 28, 28), 0),
        ("vector", (2000,), 0),
        ("image", (3, 32, 32), 4),
        ("image", (3, 64, 64), 4),
        ("image", (3, 40, 24), 4),
    ],
)
def test_convolutions_for_larger_images(modality, shape, convolutions: int) -> None:
    spec = StreamSpec(modality, shape, ("a", "b"), 1)
    net = body(spec, width=32)
    assert sum(isinstance(layer, nn.Conv2d) for layer in net) == convolutions
    assert chosen("auto", spec) == ("cnn" if convolutions else "mlp")
    out = net(torch.randn(5, *shape))
    assert out.shape == (5, 32)
    assert bool((out >= 0).all())


def test_images_of_64_pixels_cost_no_more_than_those_of_32() -> None:
    def sizes(size: int) -> list[tuple[int, ...]]:
        """Of what each convolution gives: with equal weights, equal sizes are equal costs."""
        x, found = torch.randn(2, 3, size, size), []
        for layer in body(StreamSpec("image", (3, size, size), ("a", "b"), 1), width=256):
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                found.append((*layer.weight.shape, *x.shape))
        return found

    assert sizes(64) == sizes(32)
    assert sizes(32)[0][-2:] == (32, 32)


def test_the_choice_overrules_the_rule() -> None:
    assert not any(isinstance(layer, nn.Conv2d) for layer in body(COLOUR, 32, network="mlp"))
    assert sum(isinstance(layer, nn.Conv2d) for layer in body(DIGITS, 32, network="cnn")) == 2
    for network in ("cnn", *FIELD):
        with pytest.raises(UserError, match=f"classifier={network} takes images, not vector data"):
            body(StreamSpec("vector", (20,), ("a",), 1), 32, network=network)


def test_residual_networks_have_their_published_sizes() -> None:
    # He et al. 2016, table 6: 0.46 M. ResNet-18 with a 3×3 stem: 11.17 M, as usual on CIFAR-10.
    assert parameters(Classifier(COLOUR, CPU, network="resnet32").net) == pytest.approx(0.46e6, rel=0.01)
    assert parameters(Classifier(COLOUR, CPU, network="resnet18").net) == pytest.approx(11.17e6, rel=0.001)
    # 32 layers with weights: 31 convolutions and the head.
    convolutions = [m for m in body(COLOUR, 0, network="resnet32").modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 31


def test_alexnet_has_its_published_size() -> None:
    thousand = StreamSpec("image", (3, 224, 224), tuple(map(str, range(1000))), 1)
    # torchvision's documentation: 61,100,840.
    assert parameters(Classifier(thousand, CPU, network="alexnet").net) == 61_100_840


def test_resnet18_keeps_small_images_large() -> None:
    small, large = (
        body(StreamSpec("image", (3, side, side), ("a",), 1), 0, network="resnet18") for side in (64, 65)
    )
    sizes = []
    for net in (small, large):
        (residual,) = [m for m in net.modules() if hasattr(m, "layer4")]
        residual.layer1.register_forward_hook(lambda *call: sizes.append(call[2].shape[-1]))
        side = 64 if net is small else 65
        net.eval()(torch.zeros(1, 3, side, side))
    assert sizes == [64, 17]


@pytest.mark.parametrize("network", FIELD)
@pytest.mark.parametrize("spec", [COLOUR, DIGITS], ids=["colour", "digits"])
def test_row_i_depends_on_x_i_only_and_fitting_changes_the_running_statistics(
    network, spec: StreamSpec
) -> None:
    with isolated(0):
        classifier = Classifier(spec, CPU, network=network)
        x = torch.randint(256, (6, *spec.shape), dtype=torch.uint8)
        before = classifier.predict(x)
        assert before.shape == (6, 10)
        assert classifier.features(x).shape == (6, width_of(network, 256))
        assert same(classifier.predict(x[:1]), before[:1])
        classifier.fit(Samples.real(x, torch.arange(6)), QUIET, steps=2, batch=4)
    assert not classifier.net.training
    after = classifier.predict(x)
    assert not same(after, before)
    assert same(classifier.predict(x[:1]), after[:1])
    normalised = [m for m in classifier.net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(normalised) == (network != "alexnet")
    assert all(m.num_batches_tracked == 2 for m in normalised)
    again = Classifier(spec, CPU, network=network)
    again.load_state_dict(classifier.state_dict())
    assert torch.equal(again.predict(x), after)


def test_the_shortcut_of_resnet32_is_every_other_pixel_and_zeros() -> None:
    net = body(COLOUR, 0, network="resnet32")[0]
    assert isinstance(net, nn.Sequential)
    block = next(m for m in net if getattr(m, "stride", None) == 2 and getattr(m, "missing", 0) == 16)
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
    x = torch.rand(2, 16, 8, 8)
    out = block.eval()(x)
    assert torch.equal(out[:, 8:24], x[:, :, ::2, ::2])
    assert not out[:, :8].any()
    assert not out[:, 24:].any()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file", "first"),
    [
        ("resnet18", "resnet18-f37072fd.pth", "conv1.weight"),
        ("alexnet", "alexnet-owt-7be5be79.pth", "features.0.weight"),
    ],
)
def test_pretrained_weights_come_from_the_hub_s_cache(hub: Path, name, file: str, first: str) -> None:
    from torchvision import models

    assert weights_file(name) == hub / file
    with pytest.raises(UserError, match=rf"no {file} in {hub}; put"):
        Classifier(DIGITS, CPU, network=name, pretrained=True)
    with isolated(1):
        published = getattr(models, name)(weights=None)
    torch.save(published.state_dict(), hub / file)
    for spec in (COLOUR, DIGITS):
        classifier = Classifier(spec, CPU, network=name, pretrained=True)
        state = classifier.state_dict()
        (loaded,) = [value for key, value in state.items() if key.endswith(first) and "layer" not in key]
        assert torch.equal(loaded, published.state_dict()[first])
        x = torch.randint(256, (2, *spec.shape), dtype=torch.uint8)
        assert classifier.predict(x).isfinite().all()
    torch.save({"weight": torch.zeros(3)}, hub / file)
    with pytest.raises(UserError, match=f"does not hold {name}'s weights"):
        Classifier(COLOUR, CPU, network=name, pretrained=True)
    (hub / file).write_bytes(b"no archive")
    with pytest.raises(UserError, match=f"does not hold {name}'s weights"):
        Classifier(COLOUR, CPU, network=name, pretrained=True)


def test_pretrained_networks_see_what_they_were_trained_on(hub: Path) -> None:
    """The features are those of torchvision's network for the enlarged image in ImageNet's normalisation."""
    from torchvision import models
    from torchvision.transforms import functional

    with isolated(1):
        published = models.resnet18(weights=None).eval()
    torch.save(published.state_dict(), hub / "resnet18-f37072fd.pth")
    x = torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8)
    features = Classifier(DIGITS, CPU, network="resnet18", pretrained=True).features(x)
    enlarged = nn.functional.interpolate(x / 255, (64, 64), mode="bilinear").expand(-1, 3, -1, -1)
    published.fc = nn.Identity()
    with torch.no_grad():
        expected = published(functional.normalize(enlarged, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    assert torch.allclose(features, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [TrainingOptions, MixedOptions])
def test_pretrained_goes_with_two_networks_only(options) -> None:
    with pytest.raises(UserError, match="pretrained=true needs classifier=alexnet or resnet18, not auto"):
        build(options, {"pretrained": "true"}, "strategy")
    assert build(options, {"pretrained": "true", "classifier": "alexnet"}, "strategy").pretrained
    with pytest.raises(UserError, match="option classifier=resnet19"):
        build(options, {"classifier": "resnet19"}, "strategy")
    with pytest.raises(UserError, match="not resnet32"):
        body(COLOUR, 0, network="resnet32", pretrained=True)


def test_soft_targets_are_learned_as_probabilities() -> None:
    """Two identical images cannot tell labels apart: what is learned is the distribution of the target."""
    x = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    targets = torch.zeros(8, 10)
    targets[:, 2], targets[:, 5] = 0.7, 0.3
    with isolated(0):
        classifier = Classifier(DIGITS, CPU)
        classifier.fit(Samples.real(x, torch.zeros(8, dtype=torch.int64)), QUIET, steps=300, targets=targets)
    learned = classifier.predict(x[:1]).softmax(1)[0]
    assert learned[2].item() == pytest.approx(0.7, abs=0.02)
    assert learned[5].item() == pytest.approx(0.3, abs=0.02)


def test_one_hot_targets_are_labels() -> None:
    x = torch.randint(256, (20, 1, 8, 8), dtype=torch.uint8)
    y = torch.arange(20) % 10
    states = []
    for targets in (None, nn.functional.one_hot(y, 10).float()):
        with isolated(0):
            classifier = Classifier(DIGITS, CPU)
            classifier.fit(Samples.real(x, y), QUIET, steps=5, targets=targets)
        states.append(classifier.state_dict())
    assert all(torch.allclose(states[0][name], states[1][name], atol=1e-6) for name in states[0])
