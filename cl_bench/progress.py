"""What is going on: loading, task i/T, phase, steps per second, time left.

On a terminal one live line (rich); elsewhere plain lines, at most one every few seconds a phase; with
`quiet` nothing. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PLAIN_INTERVAL = 5.0  # seconds between plain lines of one phase
TASK_INTERVAL = 1.0  # least seconds between lines that name a task: thousands may pass in a minute
SHORTEST = 0.05  # seconds below which a phase is not worth a line


class Progress:
    """Reports to `stream` (standard error unless given); `quiet` silences it."""

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self._stream = stream if stream is not None else sys.stderr
        self._live = not quiet and self._stream.isatty()
        self._task, self._named = "", -TASK_INTERVAL
        self._spinning = False

    def say(self, text: str) -> None:
        """One line, unless quiet."""
        if not self.quiet:
            print(text, file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """One line, `quiet` or not: something is missing afterwards."""
        print(f"cl-bench: {text}", file=self._stream, flush=True)

    def task(self, index: int, total: int, what: str) -> None:
        """All that follows belongs to task `index` of `total` (counted from 0)."""
        self._task = f"task {index + 1}/{total}"
        now = time.perf_counter()
        if now - self._named >= TASK_INTERVAL or index in (0, total - 1):
            self._named = now
            self.say(f"{self._task}  {what}")

    @contextmanager
    def phase(self, text: str) -> Iterator[None]:
        """Something without steps: its name, then how long it took. Phases may nest: inner ones show."""
        start = time.perf_counter()
        if self._live and not self._spinning:
            from rich.console import Console

            self._spinning = True
            try:
                with Console(file=self._stream).status(self._label(text)):
                    yield
            finally:
                self._spinning = False
        else:
            yield
        seconds = time.perf_counter() - start
        if seconds >= SHORTEST:
            self.say(f"{self._label(text)}  {seconds:.1f} s")

    @contextmanager
    def loading(self, what: str) -> Iterator[None]:
        """A slow import: named before it starts, because silence looks like a hang."""
        if not self._live:
            self.say(f"loading {what} …")
            yield
        else:
            with self.phase(f"loading {what}"):
                yield

    def steps(self, total: int, what: str, done: int = 0, batch: int = 0) -> Iterator[int]:
        """range(done, total), reported: steps per second, images per second where `batch` is given, and time
        left."""
        if self.quiet or total == done:
            return iter(range(done, total))
        return (self._live_steps if self._live else self._plain_steps)(total, what, done, batch)

    def _plain_steps(self, total: int, what: str, done: int, batch: int) -> Iterator[int]:
        start = last = time.perf_counter()
        for step in range(done, total):
            yield step
            now = time.perf_counter()
            if step + 1 < total and now - last >= PLAIN_INTERVAL:
                last = now
                rate = (step + 1 - done) / (now - start)
                left = (total - step - 1) / rate
                self.say(
                    f"{self._label(what)}  {step + 1}/{total} steps  {speed(rate, batch)}  {left:.0f} s left"
                )
        seconds = max(time.perf_counter() - start, 1e-9)
        rate = (total - done) / seconds
        self.say(f"{self._label(what)}  {total}/{total} steps  {speed(rate, batch)}  {seconds:.1f} s")

    def _live_steps(self, total: int, what: str, done: int, batch: int) -> Iterator[int]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        start = time.perf_counter()
        with Bars(*columns, console=Console(file=self._stream), transient=True) as bars:
            bar = bars.add_task(self._label(what), total=total, completed=done, rate="")
            for step in range(done, total):
                yield step
                rate = (step + 1 - done) / max(time.perf_counter() - start, 1e-9)
                bars.update(bar, advance=1, rate=speed(rate, batch))
        seconds = max(time.perf_counter() - start, 1e-9)
        self.say(f"{self._label(what)}  {total} steps  {speed(rate, batch)}  {seconds:.1f} s")

    def _label(self, text: str) -> str:
        return f"{self._task}  {text}" if self._task else text


def speed(steps_per_second: float, batch: int) -> str:
    """ "4.2 steps/s", and with the images of a step, "4.2 steps/s, 269 images/s"."""
    digits = 0 if steps_per_second >= 10 else 1 if steps_per_second >= 1 else 2
    steps = f"{steps_per_second:.{digits}f} steps/s"
    return f"{steps}, {steps_per_second * batch:.0f} images/s" if batch else steps
