"""Extractors with published weights, on files of the real format that hold random ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from cl_bench import registry
from cl_bench.errors import UserError
from cl_bench.evaluators.frechet import Frechet
from cl_bench.extractor import Extractor
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.seeds import isolated
from cl_bench.stream import StreamSpec, TaskStream

CPU = torch.device("cpu")
COLOUR = StreamSpec("image", (3, 32, 32), ("a", "b"), 1)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch hub's folder of weights, empty."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def images(n: int = 3, channels: int = 3, side: int = 32) -> torch.Tensor:
    with isolated(0, "images"):
        return torch.randint(0, 256, (n, channels, side, side)).to(torch.uint8)


def make(name: str, spec: StreamSpec = COLOUR) -> Extractor:
    made: Extractor = registry.extractors.get(name)(spec, CPU)
    return made


def inception_weights() -> dict[str, torch.Tensor]:
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    with pytest.MonkeyPatch.context() as patch, isolated(0, "weights"):
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        net: nn.Module = theirs.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    return net.state_dict()


@pytest.mark.slow
def test_inception_is_torch_fidelitys_and_its_distance_is_fid(hub: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    file = hub / "weights-inception-2015-12-05-6726825d.pth"
    torch.save(inception_weights(), file)
    extractor = make("inception")
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(file))
    x = images()
    assert torch.equal(extractor.features(x), theirs(x)[0])
    assert extractor.features(x).shape == (3, 2048)
    grey = images(2, 1)
    assert torch.equal(extractor.features(grey), theirs(grey.expand(-1, 3, -1, -1))[0])
    metrics = Frechet.definitions([type(extractor)])
    assert list(metrics) == ["fid", "fid:floor"]
    assert [metric.title for metric in metrics.values()] == ["FID", "FID floor"]


def test_resnet50_is_torchvisions_without_its_last_layer(hub: Path, digits: TaskStream) -> None:
    from torchvision.models import resnet50

    with isolated(0, "weights"):
        net = resnet50(weights=None).eval()
    torch.save(net.state_dict(), hub / "resnet50-11ad3fa6.pth")
    extractor = make("resnet50")
    x = images(2, side=224)
    seen = (x.float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        expected = net.fc(extractor.features(x))
        assert torch.allclose(expected, net(seen), atol=1e-4)
    # In its own unit: fitting scales nothing.
    small = make("resnet50", digits.spec)
    x = digits.test[0].x[:2]
    before = small.features(x)
    small.fit(RealSets(digits), Progress(quiet=True))
    assert torch.equal(small.features(x), before)


def test_dinov2_is_the_class_token(tmp_path: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    settings = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 224}
    with isolated(0, "weights"):
        net = Dinov2Model(Dinov2Config(patch_size=14, **settings)).eval()
    net.save_pretrained(tmp_path / "dino")
    extractor = make(f"dinov2:{tmp_path / 'dino'}")
    assert extractor.features(images()).shape == (3, 16)
    x = images(2, side=224)
    seen = (x.float() / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(3, 1, 1)
    with torch.no_grad():
        expected = net(seen).last_hidden_state[:, 0]
    assert torch.allclose(extractor.features(x), expected, atol=1e-4)


def test_what_is_missing_is_named_with_its_place(hub: Path, tmp_path: Path) -> None:
    place = f"no {hub / 'resnet50-11ad3fa6.pth'}; get it from https://download.pytorch.org/"
    with pytest.raises(UserError, match=re.escape(place)):
        make("resnet50")
    with pytest.raises(UserError, match=r"extractor dinov2: no config\.json in"):
        make(f"dinov2:{tmp_path}")
    (tmp_path / "not.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"not\.pth holds no weights"):
        make(f"resnet50:{tmp_path / 'not.pth'}")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds another network's weights"):
        make(f"resnet50:{tmp_path / 'other.pth'}")


def test_vectors_and_many_channels_are_refused(hub: Path) -> None:
    with pytest.raises(UserError, match="extractor 'resnet50' takes image data, not vector"):
        make("resnet50", StreamSpec("vector", (4,), ("a",), 1))
