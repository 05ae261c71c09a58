"""The errors a user can cause, each one clear line and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: what is wrong, what was expected, what to do next."""

    exit_code = 2


class TrainingDiverged(Exception):
    """A loss became NaN, infinite or exploded. `what` was being trained; `step` counts from 1.

    checkpoint: the last one on disk, told by whoever writes checkpoints.
    """

    exit_code = 3

    def __init__(self, what: str, step: int, loss: float, checkpoint: str | None = None) -> None:
        told = f"; training stopped; last checkpoint: {checkpoint}" if checkpoint else ""
        super().__init__(f"{what}: the loss is {loss:g} at step {step}{told}")
        self.what, self.step, self.loss = what, step, loss


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not among `known`, with the nearest valid one."""
    names = {spelling.lower(): spelling for spelling in sorted(known)}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {names[near[0]]!r}?" if near else f"known: {', '.join(names.values()) or 'none'}"
    return UserError(f"unknown {kind} {name!r}; {hint}")
