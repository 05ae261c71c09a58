"""safetensors files as numpy arrays, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]] | None:
    """Arrays and metadata of the file at `path`; None where there is none, or it is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError):
        return None
