"""Independent calls side by side, in processes of their own on this machine.

Not to be mistaken for processes.py, where several processes work on one run.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from cl_bench.errors import UserError

Result = TypeVar("Result")

# What decides over the threads of torch and of NumPy's libraries when they are loaded.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def side_by_side(
    call: Callable[..., Result], calls: Sequence[tuple[Any, ...]], jobs: int
) -> Iterator[tuple[int, Result]]:
    """Place in `calls` and result of call(*arguments) for each of them, as they end; `jobs` at a time, which
    share the processor's cores. Raises UserError when a process is killed."""
    with _threads(max((os.cpu_count() or jobs) // jobs, 1)):
        # Forks of a process that has used threads or a GPU hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _end_with, (os.getpid(),)) as pool:
            places = {pool.submit(call, *arguments): place for place, arguments in enumerate(calls)}
            try:
                for future in as_completed(places):
                    yield places[future], future.result()
            except BrokenProcessPool:
                raise UserError(
                    "a process was killed, perhaps for want of memory; try fewer --jobs (the same command "
                    "goes on where this one stopped)"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


def _end_with(parent: int) -> None:
    """Have this process end soon after its parent does, however that ends."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes begun inside use `count` threads each, unless the user said how many."""
    told = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(told, str(count)))
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
