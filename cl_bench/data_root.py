"""Where data lie: data sets in torchvision's layouts, and the decoded copies made of them."""

from __future__ import annotations

import os
from pathlib import Path


def data_root(given: str | Path | None = None) -> Path:
    """The folder that holds data sets: `given` (--data-root), else CL_BENCH_DATA, else a cache folder."""
    chosen = given or os.environ.get("CL_BENCH_DATA") or cache_folder() / "data"
    return Path(chosen).expanduser().absolute()


def cache_folder() -> Path:
    """The folder for what can be made again: CL_BENCH_CACHE, else cl-bench in the user's cache folder."""
    chosen = os.environ.get("CL_BENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "cl-bench"
