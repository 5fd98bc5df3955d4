"""What a model's folder says of itself: where it came from, and the size and digest of every file in it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

MANIFEST = "wanserve.json"
"""Written beside the index by our own tools."""

_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as it was when it had been checked; ``source`` is the hub's digest of what it was made of."""

    size: int
    sha256: str
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of ``wanserve.json``. A ``tiny`` model is randomly initialised, and paints noise.

    ``files`` are the entries by their path in the folder; without any, nobody has checked the folder.
    ``damaged`` are those that were found to be others than recorded.
    """

    tiny: bool = False
    repository: str | None = None
    commit: str | None = None
    dtype: str | None = None
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest of a folder; an empty one where there is none that can be read."""
        try:
            return cls._parse(json.loads((folder / MANIFEST).read_bytes()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):  # absent, or no manifest at all
            return cls()

    @classmethod
    def _parse(cls, value: dict[str, Any]) -> Self:
        entries = {name: FileEntry(**entry) for name, entry in value.get("files", {}).items()}
        return cls(
            tiny=value.get("tiny") is True,
            repository=value.get("repository"),
            commit=value.get("commit"),
            dtype=value.get("dtype"),
            files=entries,
            damaged=tuple(value.get("damaged", ())),
        )

    def write(self, folder: Path) -> None:
        """Write it into a folder, whole or not at all."""
        scratch = folder / f".{MANIFEST}.{os.getpid()}"
        with scratch.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder / MANIFEST)

    def keeps_its_sizes(self, folder: Path) -> bool:
        """Whether every file is there, as long as it was, and none is known to be damaged."""
        return not self.damaged and all(
            _size(folder / name) == entry.size for name, entry in self.files.items()
        )

    def sealed(self, folder: Path) -> Self:
        """This one with an entry for every file of the folder as it is now."""
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        entries = {
            name: FileEntry((folder / name).stat().st_size, sha256_of(folder / name), self._source(name))
            for name in names
            if name != MANIFEST and not name.startswith(".")
        }
        return replace(self, files=entries, damaged=())

    def _source(self, name: str) -> str | None:
        return self.files[name].source if name in self.files else None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git_digest_of(path: Path) -> str:
    """The SHA-1 by which git names a file's content (https://git-scm.com/book/en/v2, Git Objects)."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
