"""Two sets compared: real halves look alike, damage shows where it should, and mistakes are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from simulated_device import DEVICE, simulated

from cl_bench.cli.main import main
from cl_bench.errors import UserError
from cl_bench.generated_files import write_folder, write_npz
from cl_bench.sample_files import SampleSet, read_samples
from cl_bench.samples import Samples, concat
from cl_bench.seeds import isolated
from cl_bench.set_comparison import EVALUATORS, compare_sets
from cl_bench.stream import TaskStream, held_out


@pytest.fixture(scope="module")
def halves(digits: TaskStream) -> tuple[SampleSet, SampleSet]:
    """Three times as much of the first as of the second."""
    rest, some = held_out(concat([digits.train, *digits.test]), 0.25, "halves")
    names = digits.spec.class_names
    return SampleSet("image", rest, names), SampleSet("image", some, names)


def overall(found: pd.DataFrame) -> pd.DataFrame:
    return found[found["class"].isna()].set_index("metric")


@pytest.fixture(scope="module")
def alike(halves: tuple[SampleSet, SampleSet]) -> pd.DataFrame:
    return compare_sets(*halves, extractors=("pixels", "pca:8"))


def test_two_parts_of_real_data_are_at_the_floor(alike: pd.DataFrame) -> None:
    found = overall(alike)
    for metric in ("fd", "otdd", "w2", "cfd"):
        for extractor in ("pixels", "pca:8"):
            row = found.loc[f"{metric}:{extractor}"]
            assert row.value == pytest.approx(row.ideal, rel=0.25)
            assert row.better == "lower"
    assert found.loc["coverage:pca:8"].value > 0.85
    assert found.loc["domain_auc:pca:8"].value == pytest.approx(0.5, abs=0.08)
    assert set(found.n) - {10} == {int(found.loc["fd:pixels"].n)}
    assert not found.index.str.contains(":own").any()


@pytest.mark.simulated
@pytest.mark.parametrize("evaluator", sorted({*EVALUATORS} - {"alignment"}))
def test_on_another_device_metrics_are_computed_there(
    evaluator: str, halves: tuple[SampleSet, SampleSet], alike: pd.DataFrame
) -> None:
    # Pixels need no device: whatever runs there is the metric. Alignment is left to the CPU, and cheap.
    with simulated() as device:
        found = compare_sets(*halves, evaluators=(evaluator,), extractors=("pixels",), device=str(DEVICE))
    assert device.operations > 0
    expected = alike[alike.metric.isin(found.metric)].reset_index(drop=True)
    columns = ["metric", "value", "ideal", "n"]
    pd.testing.assert_frame_equal(found[columns], expected[columns], rtol=1e-9, atol=1e-9)


def test_every_class_has_its_rows(alike: pd.DataFrame) -> None:
    fd = alike[alike.metric == "fd:pixels"]
    assert sorted(fd["class"].dropna()) == [str(c) for c in range(10)]
    assert not alike.duplicated(["metric", "class"]).any()


def test_shuffled_labels_show_where_labels_count(
    halves: tuple[SampleSet, SampleSet], alike: pd.DataFrame
) -> None:
    real, fake = halves
    with isolated(0):
        shuffled = fake.samples.y[torch.randperm(len(fake.samples))]
    turned = Samples.real(fake.samples.x, shuffled)
    found = overall(
        compare_sets(real, SampleSet("image", turned, fake.class_names), extractors=("pixels", "pca:8"))
    )
    before = overall(alike)
    assert found.loc["cfd:pca:8"].value > 5 * before.loc["cfd:pca:8"].value
    assert found.loc["otdd:pca:8"].value > 1.5 * before.loc["otdd:pca:8"].value
    assert found.loc["fd:pca:8"].value == pytest.approx(before.loc["fd:pca:8"].value, rel=0.3)
    assert found.loc["centroid_cosine:pca:8"].value < 0.5


def test_a_lost_class_is_named(halves: tuple[SampleSet, SampleSet]) -> None:
    real, fake = halves
    kept = SampleSet("image", fake.samples.of(range(9)), fake.class_names[:9])
    found = overall(compare_sets(real, kept, ("conditional-frechet",)))
    assert found.loc["missing_classes"].value == 1


def test_from_files_to_a_table(halves: tuple[SampleSet, SampleSet], tmp_path: Path, capsys) -> None:
    real, fake = halves
    write_folder(tmp_path / "real", real.samples, real.class_names)
    write_npz(tmp_path / "fake.npz", fake.samples, fake.class_names)
    read = read_samples(tmp_path / "fake.npz")
    assert torch.equal(read.samples.x, fake.samples.x)
    assert torch.equal(read.samples.y, fake.samples.y)
    write_folder(tmp_path / "fake", fake.samples, fake.class_names)
    command = ["compare-sets", str(tmp_path / "real"), str(tmp_path / "fake"), "--quiet"]
    options = ["--evaluators", "frechet,prdc", "--per-class", "--csv", str(tmp_path / "found.csv")]
    assert main([*command, *options]) == 0
    told = capsys.readouterr().out
    assert "FD ↓" in told
    assert "coverage ↑" in told
    assert "Features: random-conv, class 3" in told
    found = pd.read_csv(tmp_path / "found.csv")
    assert len(found[found.metric == "fd:pixels"]) == 11
    assert main([*command, *options]) == 2
    assert "found.csv exists" in capsys.readouterr().err


def test_unlabelled_vectors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(300, 5)))
    np.savez(tmp_path / "b.npz", x=rng.normal(size=(100, 5)) + 1)
    found = overall(compare_sets(read_samples(tmp_path / "a.npz"), read_samples(tmp_path / "b.npz")))
    # In the data's own units: a shift of (1, …, 1) costs 5.
    assert found.loc["fd:identity"].value == pytest.approx(5, abs=1.25)
    assert found.loc["fd:identity"].ideal < 0.75


def write(folder: Path, *sizes: int) -> str:
    from PIL import Image

    folder.mkdir()
    for i, size in enumerate(sizes):
        Image.fromarray(np.zeros((size, size, 3), np.uint8)).save(folder / f"{i}.png")
    return str(folder)


def test_mistakes_are_one_line(tmp_path: Path, capsys) -> None:
    small = write(tmp_path / "small", *[8] * 9)
    large = write(tmp_path / "large", *[16] * 9)
    mixed = write(tmp_path / "mixed", 8, 16)
    few = write(tmp_path / "few", 8, 8)
    empty = write(tmp_path / "empty")
    np.savez(tmp_path / "no.npz", z=np.zeros(3))
    cases = [
        ([small, str(tmp_path / "nowhere")], "no such folder or npz file"),
        ([small, mixed], "has images of 8×8, 16×16 pixels; choose one --size"),
        ([small, empty], "holds no images"),
        ([small, large], "the sets do not go together: image (3, 8, 8) and image (3, 16, 16)"),
        ([few, small], "class 'all' of the first set has fewer than 6 samples"),
        ([small, str(tmp_path / "no.npz")], "has no array x"),
        ([small, small, "--evaluators", "accuracy"], "evaluator 'accuracy' judges predictions"),
        ([small, small, "--extractors", "pixel"], "did you mean 'pixels'"),
        ([small, small, "--size", "1"], "expected at least 4 pixels"),
    ]
    for arguments, message in cases:
        assert main(["compare-sets", *arguments, "--quiet"]) == 2, message
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert message in lines[0]
    with pytest.raises(UserError, match="has a class 'b', which the first set lacks"):
        SampleSet("image", Samples.real(torch.zeros(1, 1), torch.zeros(1).long()), ("b",)).named(("a",), "it")


def test_resized_images_go_together(tmp_path: Path, capsys) -> None:
    small, large = write(tmp_path / "small", *[8] * 9), write(tmp_path / "large", *[16] * 9)
    command = ["compare-sets", small, large, "--size", "8", "--quiet", "--evaluators", "frechet"]
    assert main(command) == 0
    assert "FD" in capsys.readouterr().out
