"""Data sets that torchvision knows: its layout on disk, its download, its checksums.

torchvision's own classes do the downloading. They extract in place, and some of them take a half-extracted
folder for a whole one; here everything happens in a folder of its own that is moved into place at the end.
"""

from __future__ import annotations

import hashlib
import http.client
import shutil
import tarfile
import tempfile
import zlib
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from cl_bench.data_set import DataSet
from cl_bench.errors import UserError


class TorchvisionSet(DataSet):
    """folder: what torchvision makes below the data root."""

    folder: ClassVar[str]

    @abstractmethod
    def download(self, root: Path) -> None:
        """Have torchvision download and extract everything below `root`."""

    def fetch(self, root: Path) -> None:
        temporary, made = None, not root.exists()
        try:
            root.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".fetch-{self.name}-", dir=root))
            self.download(temporary)
            self.files(temporary)
            self.verify(temporary)
            shutil.rmtree(root / self.folder, ignore_errors=True)
            (temporary / self.folder).rename(root / self.folder)
        except (
            OSError,
            RuntimeError,
            http.client.HTTPException,
            EOFError,
            tarfile.TarError,
            zlib.error,
            UserError,
        ) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{self.title} could not be downloaded: {reason}; nothing was kept; try again, or put "
                f"torchvision's folder {self.folder} into {root} by hand"
            ) from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            if made and root.exists() and not any(root.iterdir()):
                root.rmdir()

    def present(self, root: Path, names: list[str]) -> list[Path]:
        """`names` below the folder, as paths. Raises MissingFiles for the first that is not there."""
        paths = [root / self.folder / name for name in names]
        for path in paths:
            if not path.is_file():
                raise self.missing(str(path.relative_to(root)), root)
        return paths

    def damaged(self, path: Path, reason: str) -> UserError:
        """The error for a file that is not what it should be."""
        return UserError(f"{path} is damaged ({reason}); {self.how_to_get()}")

    def verify_md5(self, path: Path, expected: str) -> None:
        """Raises UserError when the file's MD5 is not the published one."""
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != expected:
            raise self.damaged(path, f"MD5 {found}, published {expected}, {path.stat().st_size} bytes")
