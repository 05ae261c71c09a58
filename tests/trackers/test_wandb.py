"""Weights & Biases, offline: what its file holds is what the rows say."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("wandb")

BLOCK, HEAD = 32768, 7


def records(path: Path) -> Iterator[object]:
    """The records of an offline run: LevelDB's log format after seven bytes of wandb's own."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), HEAD, b""
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + HEAD])
        parts = (b"" if kind in (1, 2) else parts) + data[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind in (1, 4):
            yield Record.FromString(parts)


@pytest.mark.slow
def test_an_offline_run_has_every_number_once(fast_run, monkeypatch, capfd, tmp_path: Path) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    plain = fast_run("bootstrap", tmp_path / "plain", evaluators=("accuracy", "samples"))
    run = fast_run("bootstrap", track=("wandb",), evaluators=("accuracy", "samples"))
    assert run.id == plain.id
    assert run.rows["value"].equals(plain.rows["value"])
    assert capfd.readouterr() == ("", "")
    (path,) = run.path.glob("wandb/offline-run-*/*.wandb")
    found = list(records(path))
    (about,) = (r.run for r in found if r.WhichOneof("record_type") == "run")
    assert (about.run_id, about.project, about.run_group) == (run.id, "cl-bench", "splitdigits")
    config = {item.key: json.loads(item.value_json) for item in about.config.update}
    assert config["strategy"] == "bootstrap"
    assert config["generator_options"] == run.manifest["config"]["generator_options"]
    history = [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in r.history.item}
        for r in found
        if r.WhichOneof("record_type") == "history"
    ]
    assert [told["tasks_learned"] for told in history] == [0, 1, 2, 3, 4, 5]
    overall = run.rows[run.rows["on_task"].isna()].dropna(subset="value")
    assert len(overall) > 20
    for row in overall.itertuples():
        assert history[row.after_task + 1][row.metric] == row.value
    assert history[5]["pictures/samples/_type"] == "image-file"
