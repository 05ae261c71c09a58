"""Weights & Biases: a run of the project `cl-bench`, online or offline as `wandb` is set up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cl_bench.registry import register_tracker
from cl_bench.tracker import Entry, Tracker

if TYPE_CHECKING:
    from cl_bench.finished_run import Run

LEARNED = "tasks_learned"


@register_tracker("wandb")
class WandB(Tracker):
    """A run of Weights & Biases with the run's own id, in the project `cl-bench` or WANDB_PROJECT.

    `WANDB_MODE=offline` writes to the run's folder `wandb`, for `wandb sync` afterwards; nothing is asked of
    the network then. Numbers stand over the number of tasks learned, losses over the steps of the training. A
    run that goes on goes on in the same log: what the server has is not sent again.
    """

    modules = ("wandb",)
    install = "pip install 'cl-bench[wandb]'"

    def begin(self, run: Run) -> None:
        import wandb

        self._wandb = wandb
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "cl-bench"),
            id=run.id,
            name=f"{run.strategy} on {run.benchmark}, seed {run.seed}",
            group=run.benchmark,
            config=run.manifest["config"],
            dir=str(run.path),
            resume="allow",
            settings=wandb.Settings(console="off", silent=True),
        )
        self._calls = 0
        self._run.define_metric(LEARNED)
        self._run.define_metric("*", step_metric=LEARNED)

    def log(self, entry: Entry) -> None:
        for what, curve in entry.losses.items():
            self._run.define_metric(f"loss/{what}", step_metric=f"step/{what}")
            for step, loss in curve:
                self._send({f"loss/{what}": loss, f"step/{what}": step})
        pictures = {f"pictures/{name}": self._wandb.Image(str(path)) for name, path in entry.pictures.items()}
        self._send({LEARNED: entry.learned, **entry.numbers, **pictures})

    def _send(self, values: dict[str, Any]) -> None:
        # Calls come in the same order whenever the run goes on, so that their number says what is there.
        if self._calls >= self._run.starting_step:
            self._run.log(values, step=self._calls)
        self._calls += 1

    def end(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)
