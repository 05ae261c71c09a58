"""Language models of Hugging Face: from a folder, or by the library's own download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl_bench.errors import UserError

INSTALL = "pip install 'cl-bench[text]'"


def transformers() -> Any:
    """The library. Raises UserError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise UserError(f"language models need transformers; {INSTALL}") from None
    return transformers


def from_hub(kind: Any, model: str) -> Any:
    """`kind.from_pretrained(model)`; model: a folder in Hugging Face's format, or a name on its hub. Raises
    UserError, with what to do, when it cannot be had."""
    folder = Path(model).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise UserError(f"{model} holds no model: it has no config.json")
    try:
        return kind.from_pretrained(str(folder) if folder.is_dir() else model)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"{model} cannot be loaded: {reason}; name a folder that holds it, or download it where there is "
            f"a network (`hf download {model}`)"
        ) from None
