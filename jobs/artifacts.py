"""The port to stored files. Two real implementations: an S3 bucket and a local directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored file: its key, its size in bytes and its media type."""

    key: str
    size: int
    content_type: str


class ArtifactStore(Protocol):
    """Where finished files live, under keys like ``<job>/<attempt>.mp4``.

    Every method raises ArtifactStoreUnavailableError when the store cannot be reached or refuses,
    and ValueError for a key that is absolute, empty, or climbs with ``..``.
    """

    def put(self, key: str, source: Path, content_type: str) -> Artifact:
        """Store a local file under a key, whole or not at all; a second put replaces the first."""
        ...

    def stat(self, key: str) -> Artifact:
        """Describe an artifact.

        Raises:
            ArtifactNotFoundError: no artifact has this key.
        """
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Stream bytes ``start`` to ``end`` inclusive (to the last one when None), in chunks.

        Raises:
            ArtifactNotFoundError: no artifact has this key. Raised by the call, before the first chunk.
        """
        ...

    def presign(self, key: str, expires_in: int) -> str | None:
        """A URL that serves the artifact for so many seconds without credentials, or None if it has none."""
        ...

    def find(self, prefix: str = "") -> Iterator[Artifact]:
        """Artifacts whose key begins with ``prefix``, in key order."""
        ...

    def delete(self, key: str) -> None:
        """Remove an artifact; no error when it is not there."""
        ...

    def ping(self) -> None:
        """Raise ArtifactStoreUnavailableError unless the store answers."""
        ...
