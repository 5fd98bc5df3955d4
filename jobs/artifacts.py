"""The port to stored files. Two real implementations: an S3 bucket and a local directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from mimetypes import MimeTypes
from pathlib import Path
from typing import Protocol

from jobs.artifact_stream import ArtifactStream

MAX_KEY_BYTES = 1024  # what S3 allows for a whole key
MAX_SEGMENT_BYTES = 255  # what file systems allow for one name


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored file: its key and its size in bytes."""

    key: str
    size: int

    @property
    def content_type(self) -> str:
        """The media type, told by the key's suffix alone, so that every store gives the same answer."""
        # A fresh MimeTypes knows Python's own table and not the machine's /etc/mime.types.
        return MimeTypes().guess_type(self.key, strict=False)[0] or "application/octet-stream"


def check_key(key: str) -> str:
    """Return the key when every store can hold it: names joined by single slashes, like ``<job>/1.mp4``.

    Raises:
        ValueError: the key is empty, absolute or too long, has an empty name or one that begins with
            a dot (which rules out ``.`` and ``..``), or holds a backslash or a control character.
    """
    names = key.split("/")
    if any(not name or name.startswith(".") for name in names):
        raise ValueError(f"{key!r} is no artifact key: a name in it is empty or begins with a dot.")
    if "\\" in key or not key.isprintable():
        raise ValueError(f"{key!r} is no artifact key: it holds a backslash or an unprintable character.")
    if len(key.encode()) > MAX_KEY_BYTES or any(len(name.encode()) > MAX_SEGMENT_BYTES for name in names):
        raise ValueError(f"{key[:40]!r}... is no artifact key: it is too long.")
    return key


def check_prefix(prefix: str) -> str:
    """Return the prefix when a key may begin with it.

    Raises:
        ValueError: no key can begin with it, by the rules of ``check_key``.
    """
    check_key(f"{prefix}x")
    return prefix


def check_range(start: int, end: int | None) -> None:
    """Refuse a byte range that no file has.

    Raises:
        ValueError: ``start`` is negative, or ``end`` comes before it.
    """
    if start < 0 or (end is not None and end < start):
        raise ValueError(f"Bytes {start} to {end} are no range.")


class ArtifactStore(Protocol):
    """Where finished files live, under keys like ``<job>/<attempt>.mp4``.

    Every method raises ArtifactStoreUnavailableError when the store cannot be reached or refuses,
    and ValueError for a key that ``check_key`` refuses. No key may be the folder of another one:
    a directory cannot hold both ``a`` and ``a/b``.
    """

    def put(self, key: str, source: Path, about: Mapping[str, str] | None = None) -> Artifact:
        """Store a copy of a local file under a key, whole or not at all.

        ``about`` is kept with it where the store has a place for such things, for whoever finds the file
        there; names and values are ASCII.

        A second put of the same key replaces the first; a reader sees the one or the other. When
        it returns, the copy outlives a crash of this machine.

        Raises:
            FileNotFoundError: there is no local file ``source``.
        """
        ...

    def stat(self, key: str) -> Artifact:
        """Describe an artifact.

        Raises:
            ArtifactNotFoundError: no artifact has this key.
        """
        ...

    def read(self, key: str, start: int = 0, end: int | None = None) -> ArtifactStream:
        """Stream bytes ``start`` to ``end`` inclusive (to the last one when None), in chunks.

        A range that reaches past the last byte stops there; one that begins there is empty. The
        stream holds a file or a connection until it is exhausted or closed.

        Raises:
            ArtifactNotFoundError: no artifact has this key. Raised by the call, before the first chunk.
            ValueError: ``start`` is negative, or ``end`` comes before it.
        """
        ...

    def presign(self, key: str, expires_in: int) -> str | None:
        """A URL that serves the artifact without credentials, or None where the store has no such thing.

        The key is not looked up. ``expires_in`` is in seconds, 1 to 604800 (a week).
        """
        ...

    def presign_put(self, key: str, size: int, expires_in: int) -> str | None:
        """A URL that stores a file of exactly ``size`` bytes by PUT, or None where there is no such thing.

        It takes no credentials; ``expires_in`` is in seconds, 1 to 604800 (a week).
        """
        ...

    def find(self, prefix: str = "") -> Iterator[Artifact]:
        """Artifacts whose key begins with ``prefix``, in key order. Errors are raised while iterating."""
        ...

    def delete(self, key: str) -> None:
        """Remove an artifact; no error when it is not there."""
        ...

    def ping(self) -> None:
        """Raise ArtifactStoreUnavailableError unless the store answers and would serve these credentials."""
        ...
