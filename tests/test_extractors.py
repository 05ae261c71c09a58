"""Extractors: an honest floor, a fixed unit, the same features for every run on the same data."""

from __future__ import annotations

import importlib.util
import linecache
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.decomposition
import torch

from cl_bench import registry
from cl_bench.benchmark import ClassIncremental
from cl_bench.benchmarks.digits import SplitDigits
from cl_bench.errors import UserError
from cl_bench.extractor import Extractor
from cl_bench.extractors.classifier import ClassifierFeatures
from cl_bench.metrics.gaussian import frechet_distance
from cl_bench.progress import Progress
from cl_bench.real_sets import RealSets
from cl_bench.samples import concat, scaled
from cl_bench.stream import TaskStream

CPU, QUIET = torch.device("cpu"), Progress(quiet=True)


def fitted(name: str, stream: TaskStream) -> Extractor:
    extractor: Extractor = registry.extractors.get(name)(stream.spec, CPU)
    extractor.fit(RealSets(stream), QUIET)
    return extractor


@pytest.fixture(scope="module")
def real(digits: TaskStream) -> RealSets:
    return RealSets(digits)


@pytest.fixture(scope="module")
def reference(digits: TaskStream) -> Extractor:
    return fitted("classifier", digits)


def test_floor_is_kept_out_of_training(digits: TaskStream, real: RealSets) -> None:
    train = {tuple(x.flatten().tolist()) for x in real.train.x}
    floor = {tuple(x.flatten().tolist()) for x in real.floor.x}
    assert not train & floor
    assert real.floor.counts() == concat(digits.test).counts() == real.counts


def test_floor_and_test_are_exchangeable(digits: TaskStream, real: RealSets, reference: Extractor) -> None:
    # Their distance must look like that of any other split of the two into halves.
    test = concat(digits.test)
    both = reference.features(torch.cat([real.floor.x, test.x])).double().numpy()
    n = len(real.floor)
    actual = frechet_distance(both[:n], both[n:])
    rng = np.random.default_rng(0)
    null = [
        frechet_distance(both[p[:n]], both[p[n:]]) for p in (rng.permutation(len(both)) for _ in range(40))
    ]
    assert actual < max(null) * 1.5


def test_the_reference_knows_the_digits(real: RealSets, reference: Extractor) -> None:
    about = reference.about(real)
    assert about["accuracy"] > 0.95
    assert about["n"] == len(real.train)


ALL = ["classifier", "pixels", "pca:16", "random-conv"]


@pytest.mark.parametrize("name", ALL)
def test_unit_is_the_total_variance_of_real_features(digits: TaskStream, real: RealSets, name: str) -> None:
    features = fitted(name, digits).features(real.floor.x)
    assert features.dtype == torch.float32
    assert features.mean(0).abs().max() < 1e-4
    assert float(features.double().var(0, correction=0).sum()) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_the_same_whatever_global_state_class_order_and_split(digits: TaskStream, name: str) -> None:
    torch.manual_seed(12345)
    other = SplitDigits(ClassIncremental(tasks=[4, 6], valid_fraction=0.3)).build(order_seed=5)
    one, again = fitted(name, digits), fitted(name, other)
    assert one.hash() == again.hash()
    copy = registry.extractors.get(name)(digits.spec, CPU)
    copy.load_state_dict(one.state_dict())
    assert copy.hash() == one.hash()
    x = digits.tasks[0].train.x[:7]
    assert torch.equal(copy.features(x), one.features(x))


def test_pca_is_scikit_learns(digits: TaskStream, real: RealSets) -> None:
    x = real.train.x.flatten(1).double() / 127.5 - 1
    theirs = sklearn.decomposition.PCA(16, svd_solver="full").fit(x.numpy())
    raw = fitted("pca:16", digits).raw(real.floor.x)
    expected = theirs.transform((real.floor.x.flatten(1).double() / 127.5 - 1).numpy())
    for ours, component in zip(raw.T.numpy(), expected.T, strict=True):
        sign = np.sign(ours @ component)
        assert ours * sign == pytest.approx(component, abs=1e-3)


def test_pixels_are_the_pixels(digits: TaskStream, real: RealSets) -> None:
    assert torch.equal(fitted("pixels", digits).raw(real.floor.x), scaled(real.floor.x).flatten(1))


def test_classifiers_of_other_networks_are_other_features(digits: TaskStream) -> None:
    cls = registry.extractors.get("classifier:resnet32")
    assert (cls.name, cls.title) == ("classifier:resnet32", "frozen reference classifier (resnet32)")
    assert cls(digits.spec, CPU).raw(digits.tasks[0].train.x[:3]).shape == (3, 64)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pca:0", "the number of components must be 1 or more"),
        ("pca:many", "the number of components must be 1 or more"),
        ("classifier:resnet81", "did you mean 'resnet18'"),
        ("pixel", "did you mean 'pixels'"),
        ("pixels:3", "takes no argument"),
    ],
)
def test_mistakes_are_told(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        registry.extractors.get(name)


def test_more_components_than_there_are(digits: TaskStream) -> None:
    with pytest.raises(UserError, match="have at most 64 components"):
        fitted("pca:65", digits)


def test_a_second_run_on_the_same_data_takes_what_was_learned_from_the_cache(
    digits: TaskStream, real: RealSets, reference: Extractor, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))

    def once() -> Extractor:
        extractor: Extractor = registry.extractors.get("classifier")(digits.spec, CPU)
        extractor.fit_once(real, QUIET)
        return extractor

    assert once().hash() == reference.hash()
    (file,) = (tmp_path / "extractors").glob("*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(ClassifierFeatures, "learn", lambda *_: pytest.fail("trained again"))
        assert once().hash() == reference.hash()

    file.write_bytes(b"damaged")
    assert once().hash() == reference.hash()


def test_an_edited_extractor_learns_again(
    digits: TaskStream, real: RealSets, tmp_path: Path, monkeypatch
) -> None:
    """Its file is not among the engine's own, and the cache of the one before must not be taken for it."""
    monkeypatch.setenv("CL_BENCH_CACHE", str(tmp_path))
    (tmp_path / "its").mkdir()
    path = tmp_path / "its" / "mine.py"

    def learned(value: float) -> float:
        path.write_text(
            "import torch\n"
            "from cl_bench.extractor import Extractor\n"
            "class Mine(Extractor):\n"
            "    name, costly, scaled = 'mine', True, False\n"
            f"    def learn(self, real, progress): self.value = torch.tensor({value})\n"
            "    def learned(self): return {'value': self.value}\n"
            "    def load_learned(self, state): self.value = state['value']\n"
            "    def raw(self, x): return self.value * torch.ones(len(x), 1)\n"
        )
        spec = importlib.util.spec_from_file_location("mine", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "mine", module)
        importlib.invalidate_caches()
        linecache.clearcache()
        spec.loader.exec_module(module)
        extractor = module.Mine(digits.spec, CPU)
        extractor.fit_once(real, QUIET)
        return float(extractor.value)

    assert [learned(1.0), learned(2.0), learned(1.0)] == [1.0, 2.0, 1.0]


def test_a_run_measures_in_the_features_asked_for(fast_run) -> None:
    run = fast_run("bootstrap", evaluators=("otdd", "frechet"), extractors=("pixels", "pca:4"))
    measured = {name for name in run.rows.metric if name.startswith("otdd")}
    assert measured == {f"otdd:{name}{word}" for name in ("pixels", "pca:4") for word in ("", ":floor")}
    assert list(run.manifest["extractors"]) == ["pixels", "pca:4"]
    assert run.manifest["metrics"]["fd:pca:4"]["title"] == "FD (pca:4)"
    assert "4 principal components" in run.manifest["metrics"]["fd:pca:4"]["doc"]


def test_extractors_that_nobody_reads_are_refused(fast_run) -> None:
    with pytest.raises(UserError, match="--extractors pixels has no effect"):
        fast_run("bootstrap", evaluators=("accuracy",), extractors=("pixels",))
    with pytest.raises(UserError, match="extractor 'pca' needs an argument; say pca:K"):
        fast_run("bootstrap", evaluators=("otdd",), extractors=("pca",))
