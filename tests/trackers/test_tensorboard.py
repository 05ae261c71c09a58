"""TensorBoard's own reader finds every number once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cl_bench.strategies.bootstrap import Bootstrap

pytest.importorskip("tensorboard")

EVALUATORS = ("accuracy", "depth", "frechet", "samples")


def read(folder: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(found) -> dict[tuple[str, int], float]:
    told = [(tag, event.step, event.value) for tag in found.Tags()["scalars"] for event in found.Scalars(tag)]
    by_step = {(tag, step): value for tag, step, value in told}
    assert len(by_step) == len(told), "a step is there twice"
    return by_step


def test_what_it_reads_is_what_the_rows_say(fast_run, monkeypatch, tmp_path: Path) -> None:
    observe = Bootstrap.observe

    def stop(self, task):
        observe(self, task)
        if task.index == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Bootstrap, "observe", stop)
        with pytest.raises(KeyboardInterrupt):
            fast_run("bootstrap", track=("tensorboard",), evaluators=EVALUATORS)
    (path,) = (tmp_path / "runs").glob("*/*/*")
    assert {step for _, step in scalars(read(path))} == {0, 1, 2, 3}
    run = fast_run("bootstrap", track=("tensorboard",), evaluators=EVALUATORS)
    assert run.path == path
    found = read(path)
    told = scalars(found)
    rows = run.rows[run.rows["value"].notna() & run.rows["class"].isna()]
    assert len(rows) > 50
    for row in rows.astype({"on_task": object}).itertuples():
        name = row.metric if pd.isna(row.on_task) else f"{row.metric}/on_task_{row.on_task + 1}"
        assert told[name, row.after_task + 1] == np.float32(row.value)
    pictures = found.Images("pictures/samples")
    assert [picture.step for picture in pictures] == [1, 2, 3, 4, 5]
    assert pictures[0].encoded_image_string.startswith(b"\x89PNG")


def test_the_configuration_is_there_as_hyper_parameters(fast_run) -> None:
    from tensorboard.plugins.hparams import plugin_data_pb2

    run = fast_run("naive", track=("tensorboard",), evaluators=("accuracy",))
    plugin = read(run.path).summary_metadata["_hparams_/session_start_info"].plugin_data
    content = plugin_data_pb2.HParamsPluginData.FromString(plugin.content)
    told = content.session_start_info.hparams
    assert told["strategy"].string_value == "naive"
    assert told["strategy.classifier_steps"].number_value == 60
    assert told["limit"].number_value == 20
