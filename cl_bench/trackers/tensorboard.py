"""TensorBoard: event files in the run's folder `tensorboard`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from cl_bench.registry import register_tracker
from cl_bench.tracker import Entry, Tracker

if TYPE_CHECKING:
    from cl_bench.finished_run import Run


@register_tracker("tensorboard")
class TensorBoard(Tracker):
    """Event files in the run's folder `tensorboard`; `tensorboard --logdir runs` shows those of all runs.

    The folder is written anew whenever a process begins to work on the run, so that no step is there twice.
    The step is the number of tasks learned, of losses that of the training. The configuration is under
    HPARAMS. TensorBoard keeps values in single precision.
    """

    modules = ("tensorboard",)
    install = "pip install 'cl-bench[tensorboard]'"

    def begin(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        folder = run.path / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        # A TensorBoard that watches the folder forgets what it has read of it from step 0 on.
        self._writer = SummaryWriter(str(folder), purge_step=0)
        metrics = dict.fromkeys(run.manifest["metrics"], 0.0)
        assert self._writer.file_writer is not None
        for summary in hparams(_flat(run.manifest["config"]), metrics):
            self._writer.file_writer.add_summary(summary)

    def log(self, entry: Entry) -> None:
        import numpy as np
        from PIL import Image

        for name, value in entry.numbers.items():
            self._writer.add_scalar(name, value, entry.learned)
        for what, curve in entry.losses.items():
            for step, loss in curve:
                self._writer.add_scalar(f"loss/{what}", loss, step)
        for name, path in entry.pictures.items():
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            self._writer.add_image(f"pictures/{name}", pixels, entry.learned, dataformats="HWC")
        self._writer.flush()

    def end(self, finished: bool) -> None:
        self._writer.close()


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """What HPARAMS takes, by name: {"strategy_options": {"steps": 9}} becomes {"strategy.steps": 9}."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        kind = key.removesuffix("_options")
        flat |= {f"{kind}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return {
        key: value if isinstance(value, bool | int | float) else str(value) for key, value in flat.items()
    }
