"""Begin a generator as another one that was saved: of a run, or in a file."""

from __future__ import annotations

from pathlib import Path

from cl_bench import state as states
from cl_bench.errors import UserError
from cl_bench.generator import Generator
from cl_bench.progress import Progress
from cl_bench.run_directory import CHECKPOINT, MANIFEST, RunDirectory
from cl_bench.state import State, under


def transfer(generator: Generator, source: str, progress: Progress) -> None:
    """Give `generator` all tensors of the saved one whose name and shape it has; a class embedding for other
    classes, say, stays as it was.

    source: a run's folder (its last finished task counts) or a safetensors file. Raises UserError when there
    is none, or when it fits in nothing.
    """
    saved, own = saved_generator(source), generator.state_dict()
    fitting = {name: value for name, value in saved.items() if name in own and value.shape == own[name].shape}
    if not fitting:
        raise UserError(f"nothing in {source} fits generator {generator.name!r}; its kind or size is another")
    generator.load_state_dict(own | fitting)
    fresh = sorted(own.keys() - fitting.keys())
    rest = f"; fresh: {', '.join(fresh[:3])}{' …' if len(fresh) > 3 else ''}" if fresh else ""
    progress.say(f"generator begins with {len(fitting)} of {len(own)} tensors of {source}{rest}")


def saved_generator(source: str) -> State:
    """The tensors of the generator saved in `source`; see `transfer`."""
    path = Path(source)
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise UserError(f"{source} is no run: it has no {MANIFEST}")
        run = RunDirectory(path)
        if not run.finished_tasks():
            raise UserError(f"{source}: no task of this run is finished yet")
        path = run.task(run.finished_tasks() - 1) / CHECKPOINT
    saved = states.load(path)
    # A strategy's checkpoint holds its generator under that name; a generator's own file has no prefix.
    return under("generator", saved) or saved
