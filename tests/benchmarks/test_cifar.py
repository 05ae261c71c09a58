"""CIFAR on the real files against the published facts, and on files of the real format against damage."""

from __future__ import annotations

import functools
import hashlib
import pickle
import shutil
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from cl_bench.benchmarks.cifar import CIFAR10Files, CIFAR100Files
from cl_bench.cli.main import main
from cl_bench.errors import UserError
from cl_bench.options import build as build_options
from cl_bench.registry import benchmarks
from cl_bench.samples import concat, shared

# The same on every machine: a changed value means another benchmark, and a new version number.
FINGERPRINT = "f33be1e1634a"


def test_all_of_cifar100_is_there(build) -> None:
    stream = build("splitcifar100").build()
    assert stream.fingerprint.startswith(FINGERPRINT)
    train = concat(part for task in stream.tasks for part in (task.train, task.valid))
    assert train.counts() == dict.fromkeys(range(100), 500)
    assert concat(stream.test).counts() == dict.fromkeys(range(100), 100)
    assert stream.spec.shape == (3, 32, 32)
    assert stream.spec.class_names[:3] == ("apple", "aquarium_fish", "baby")
    assert [len(task.classes) for task in stream.tasks] == [20] * 5
    assert [len(task.train) for task in stream.tasks] == [9000] * 5
    # Pixels are where torchvision has them.
    from torchvision.datasets import CIFAR100

    official = CIFAR100(build("splitcifar100").data_root, train=False)
    index = [official.targets.index(c) for c in range(3)]
    ours = [stream.test[0].of((c,)).x[0].permute(1, 2, 0).numpy() for c in range(3)]
    assert all(np.array_equal(official.data[i], image) for i, image in zip(index, ours, strict=True))


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"tasks": 10}, [10] * 10),
        ({"tasks": 20}, [5] * 20),
        ({"first": 50, "tasks": 6}, [50, 10, 10, 10, 10, 10]),
        ({"tasks": 7, "remainder": "spread"}, [15, 15, 14, 14, 14, 14, 14]),
    ],
)
def test_protocols_of_the_field(build, options, sizes) -> None:
    stream = build("splitcifar100", **options).build(order_seed=3)
    assert [len(task.classes) for task in stream.tasks] == sizes
    assert sorted(stream.class_order) == list(range(100))
    for task, test in zip(stream.tasks, stream.test, strict=True):
        assert set(task.train.classes) == set(test.classes) == set(task.classes)


def test_the_order_of_avalanche_is_avalanches(build) -> None:
    from avalanche.benchmarks.classic import SplitCIFAR100

    from cl_bench.seeds import isolated

    benchmark = build("splitcifar100", order="avalanche", tasks=10)
    for seed in (0, 1234):
        with isolated(0):
            theirs = SplitCIFAR100(10, seed=seed, dataset_root=benchmark.data_root)
        ours = benchmark.build(order_seed=seed)
        assert list(ours.class_order) == theirs.classes_order
        for task, experience in zip(ours.tasks, theirs.train_stream, strict=True):
            assert set(task.classes) == set(experience.classes_in_this_experience)


def test_ten_test_images_stand_in_train_and_are_left_there(build) -> None:
    data = build("splitcifar100").load()
    pairs = shared(data.test, data.train)
    assert len(pairs) == 10
    assert all(torch.equal(data.test.x[i], data.train.x[j]) for i, j in pairs)


def test_the_second_load_decodes_nothing(build, monkeypatch) -> None:
    first = build("splitcifar100").load()
    monkeypatch.setattr(CIFAR100Files, "read", lambda *_: pytest.fail("decoded again"))
    again = build("splitcifar100").load()
    assert again.fingerprint == first.fingerprint
    assert torch.equal(again.test.x, first.test.x)


def test_a_truncated_pickle_is_named(build, tmp_path: Path) -> None:
    real = build("splitcifar100").data_root / "cifar-100-python"
    shutil.copytree(real, tmp_path / "cifar-100-python")
    damaged = tmp_path / "cifar-100-python" / "test"
    damaged.write_bytes(damaged.read_bytes()[:1_000_000])
    with pytest.raises(
        UserError, match=r"cifar-100-python/test is damaged.*1000000 bytes.*data fetch cifar100"
    ):
        CIFAR100Files().load(tmp_path)


def test_missing_files_are_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        CIFAR10Files().load(tmp_path)
    assert "CIFAR-10 is missing: no cifar-10-batches-py/data_batch_1" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "cl-bench data fetch cifar10" in str(caught.value)


def cifar10_files(folder: Path, per_file: int = 20) -> dict[str, str]:
    """Small files in CIFAR-10's format; name to MD5."""
    folder.mkdir(parents=True)
    rng = np.random.RandomState(0)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    contents: dict[str, object] = {
        name: {
            "data": rng.randint(0, 256, (per_file, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(per_file)],
        }
        for name in names
    }
    contents["batches.meta"] = {"label_names": [f"class {c}" for c in range(10)]}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in contents}


def publish(monkeypatch, checksums: dict[str, str]) -> None:
    """Make `checksums` the published ones of CIFAR-10."""
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(
        CIFAR10, "train_list", [[f"data_batch_{i}", checksums[f"data_batch_{i}"]] for i in range(1, 6)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": checksums["batches.meta"]})


def test_cifar10_files_are_read_in_order(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    publish(monkeypatch, cifar10_files(folder))
    data = CIFAR10Files().load(tmp_path)
    assert data.class_names[9] == "class 9"
    assert data.train.counts() == dict.fromkeys(range(10), 10)
    assert data.test.counts() == dict.fromkeys(range(10), 2)
    third = pickle.loads((folder / "data_batch_3").read_bytes())["data"]
    assert np.array_equal(data.train.x[40:60].numpy().reshape(20, 3072), third)


def test_images_are_resized_as_pillow_does(tmp_path: Path, monkeypatch) -> None:
    from PIL import Image

    publish(monkeypatch, cifar10_files(tmp_path / "cifar-10-batches-py"))
    stored = CIFAR10Files().load(tmp_path)
    for resolution in (64, 16):
        files = CIFAR10Files(resolution)
        data = files.load(tmp_path)
        assert data.fingerprint != stored.fingerprint
        assert data.train.x.shape == (100, 3, resolution, resolution)
        assert torch.equal(data.train.y, stored.train.y)
        image = Image.fromarray(stored.train.x[7].permute(1, 2, 0).numpy())
        theirs = np.asarray(image.resize((resolution, resolution), Image.Resampling.BICUBIC)).astype(int)
        ours = data.train.x[7].permute(1, 2, 0).numpy().astype(int)
        assert np.abs(ours - theirs).max() <= 1, "one level of rounding"
        assert (
            files.transforms == f"resized to {resolution}×{resolution} by antialiased bicubic interpolation"
        )


def test_resolution_is_an_option_of_all_four(tmp_path: Path, monkeypatch) -> None:
    publish(monkeypatch, cifar10_files(tmp_path / "cifar-10-batches-py"))
    for name in ("splitcifar10", "cifar10"):
        benchmark = benchmarks.get(name)
        options = build_options(benchmark.Options, {"resolution": "64"}, name)
        stream = benchmark(options, tmp_path).build()
        assert stream.spec.shape == (3, 64, 64)
        assert stream.tasks[0].train.x.shape[1:] == stream.test[0].x.shape[1:] == (3, 64, 64)
    for name in ("splitcifar100", "cifar100"):
        benchmark = benchmarks.get(name)
        options = build_options(benchmark.Options, {"resolution": "64"}, name)
        assert benchmark(options).data_set() == CIFAR100Files(64)


def test_nothing_is_unpickled_before_its_checksum_is_right(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    publish(monkeypatch, cifar10_files(folder))
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    (folder / "test_batch").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UserError, match="test_batch is damaged"):
        CIFAR10Files().load(tmp_path)
    assert not trap.exists()


@pytest.fixture
def server(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """The archive that torchvision downloads as CIFAR-10, small but in the real format, on a real server."""
    from torchvision.datasets import CIFAR10

    checksums = cifar10_files(tmp_path / "server" / "cifar-10-batches-py")
    publish(monkeypatch, checksums)
    archive = tmp_path / "server" / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "server" / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(archive.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{http.server_port}/{archive.name}")
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield archive
        http.shutdown()
        thread.join()


def test_fetch_puts_the_files_where_they_are_looked_for(server: Path, tmp_path: Path, capsys) -> None:
    root = tmp_path / "data"
    assert main(["data", "fetch", "splitcifar10", "--data-root", str(root)]) == 0
    assert CIFAR10Files().load(root).train.counts() == dict.fromkeys(range(10), 10)
    assert [path.name for path in root.iterdir()] == ["cifar-10-batches-py"]
    server.unlink()
    assert main(["data", "fetch", "cifar10", "--data-root", str(root)]) == 0, "there already"
    assert main(["data", "status", "--data-root", str(root)]) == 0
    status = capsys.readouterr().out
    assert "cifar10       7 files, 0 MB, decoded" in status
    assert "cifar100      missing; get it with `cl-bench data fetch cifar100`" in status


def test_fetch_replaces_a_damaged_file(server: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    assert main(["data", "fetch", "cifar10", "--data-root", str(root)]) == 0
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(b"cut")
    with pytest.raises(UserError, match="test_batch is damaged"):
        CIFAR10Files().load(root)
    assert main(["data", "fetch", "cifar10", "--data-root", str(root)]) == 0
    assert CIFAR10Files().load(root).test.counts() == dict.fromkeys(range(10), 2)


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_failed_download_leaves_nothing(server: Path, tmp_path: Path, capsys, damage: str) -> None:
    server.unlink() if damage == "gone" else server.write_bytes(server.read_bytes()[:500])
    root = tmp_path / "data"
    assert main(["data", "fetch", "cifar10", "--data-root", str(root)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("cl-bench: error: CIFAR-10 could not be downloaded:")
    assert "nothing was kept" in error
    assert not root.exists()


def test_an_interrupted_download_leaves_nothing(server: Path, tmp_path: Path, monkeypatch) -> None:
    def stopped(self: CIFAR10Files, root: Path) -> None:
        (root / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(CIFAR10Files, "download", stopped)
    assert main(["data", "fetch", "cifar10", "--data-root", str(tmp_path / "data")]) == 130
    assert not (tmp_path / "data").exists()
