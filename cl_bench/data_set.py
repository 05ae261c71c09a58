"""Data sets in files: found below a data root, decoded once, read back from a memory-mapped copy.

The decoded copy is a safetensors file in the cache folder, named for the data set, its options and its source
files (path, size and time of change of each), so that changed files are decoded anew. It carries the
fingerprint of its content. Nothing in the cache is ever the only copy: it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from safetensors import SafetensorError, safe_open

from cl_bench import state
from cl_bench.data_root import cache_folder
from cl_bench.errors import UserError
from cl_bench.samples import Samples
from cl_bench.stream import RealData, refuse_sealed


class MissingFiles(UserError):
    """A data set's files are not where they were looked for."""


class DataSet(ABC):
    """A data set in the layout its authors, or torchvision, gave it. Fields of a subclass are its options.

    name: as typed after `cl-bench data fetch`. title: as people call it. version: raise it when the same
    files are decoded otherwise.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[int] = 1

    @property
    def transforms(self) -> str:
        """What happens to an image between its file and the stream."""
        return "none: pixels as stored"

    @abstractmethod
    def files(self, root: Path) -> list[Path]:
        """All files that `read` reads. Raises MissingFiles."""

    @abstractmethod
    def read(self, root: Path) -> RealData:
        """Decode the files. Raises UserError, naming the file, for a damaged one."""

    def verify(self, root: Path) -> None:  # noqa: B027 - there may be nothing to compare with
        """Raises UserError, naming the first file that is not what its authors published."""

    def fetch(self, root: Path) -> None:
        """Download the files below `root`, whole or not at all. Raises UserError."""
        raise UserError(f"{self.title} cannot be downloaded by a program; {self.how_to_get()}")

    def how_to_get(self) -> str:
        """What to do about missing files, as the end of a sentence."""
        return f"get it with `cl-bench data fetch {self.name}`"

    def missing(self, what: str, root: Path) -> MissingFiles:
        """The error for missing files. what: the first that is missing."""
        return MissingFiles(
            f"{self.title} is missing: no {what} in {root} (--data-root, CL_BENCH_DATA); {self.how_to_get()}"
        )

    def load(self, root: Path) -> RealData:
        """The data, from the decoded copy when there is one. Raises UserError."""
        refuse_sealed(f"loaded {self.title}")
        copy = self.decoded_copy(root)
        if copy.is_file():
            try:
                return _read_copy(copy)
            except (SafetensorError, OSError, ValueError, KeyError, TypeError):
                # A damaged copy is made again below.
                copy.unlink(missing_ok=True)
        data = self.read(root)
        _write_copy(copy, data)
        return data

    def decoded_copy(self, root: Path) -> Path:
        """Where the decoded copy of the present files is or will be. Raises MissingFiles."""
        identity: list[Any] = [type(self).__qualname__, self.version, sorted(vars(self).items())]
        for path in self.files(root):
            stat = path.stat()
            identity.append([str(path), stat.st_size, stat.st_mtime_ns])
        key = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:16]
        return cache_folder() / "decoded" / f"{self.name}-{key}.safetensors"


def _read_copy(path: Path) -> RealData:
    """Tensors of the result are memory-mapped: pages are read when touched."""
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["data"])
        train, test = (
            Samples.real(file.get_tensor(f"{split}.x"), file.get_tensor(f"{split}.y"))
            for split in ("train", "test")
        )
    return RealData(
        facts["modality"],
        tuple(facts["class_names"]),
        train,
        test,
        facts["fingerprint"],
        vocabulary=facts["vocabulary"],
        tokenizer=facts["tokenizer"],
        note=facts["note"],
    )


def _write_copy(path: Path, data: RealData) -> None:
    facts = {
        "modality": data.modality,
        "class_names": data.class_names,
        "fingerprint": data.fingerprint,
        "vocabulary": data.vocabulary,
        "tokenizer": data.tokenizer,
        "note": data.note,
    }
    tensors = {"train.x": data.train.x, "train.y": data.train.y, "test.x": data.test.x, "test.y": data.test.y}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        state.save(path, tensors, {"data": json.dumps(facts)})
    except OSError as error:
        raise UserError(
            f"cannot keep the decoded data in {path.parent}: {error.strerror}; "
            "set CL_BENCH_CACHE to a folder that can be written"
        ) from error
