"""A finished task's strategy, brought back to life: to sample and predict outside of its run."""

from __future__ import annotations

import torch

from cl_bench import state
from cl_bench.config import Config, resolve
from cl_bench.errors import UserError
from cl_bench.finished_run import Run
from cl_bench.progress import Progress
from cl_bench.run_directory import CHECKPOINT, REPLAY
from cl_bench.runner import new_strategy
from cl_bench.samples import Samples
from cl_bench.seeds import isolated
from cl_bench.strategy import Strategy


def trained_strategy(
    run: Run, task: int | None = None, device: str = "auto", progress: Progress | None = None
) -> Strategy:
    """The strategy of `run` as it was after `task` (None: the last finished one), with its weights and replay
    set. No data set is read. Raises UserError when the task is not finished or the code has changed too much.
    """
    directory, progress = run.directory, progress or Progress(quiet=True)
    done = directory.finished_tasks()
    task = done - 1 if task is None else task
    if not 0 <= task < done:
        what = f"task {task} is not finished" if done else "no task is finished yet"
        raise UserError(f"{run.path}: {what}")
    request = Config.from_dict(run.manifest["config"] | {"device": device}).request()
    resolved = resolve(request, progress)
    with isolated(run.seed, "strategy"):
        strategy = new_strategy(resolved, run.spec, torch.device(resolved.config.device), progress)
    path = directory.task(task) / CHECKPOINT
    if strategy.resumes_by_repeating:
        raise UserError(f"strategy {run.strategy!r} is only restored inside its run")
    try:
        strategy.load_state_dict(state.load(path))
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} does not fit this code: {str(error).splitlines()[0]}") from None
    replay = directory.task(task) / REPLAY
    if replay.exists():
        strategy.replay = Samples.from_state_dict(state.load(replay))
    return strategy
