"""Artifacts in a local directory: the default, for one machine or a shared file system."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import TemporaryFile
from uuid import uuid4

from jobs.artifact_stream import CHUNK_BYTES, ArtifactStream
from jobs.artifacts import Artifact, check_key, check_prefix, check_range
from jobs.errors import ArtifactNotFoundError, ArtifactStoreUnavailableError


class LocalArtifactStore:
    """An ArtifactStore in a directory, which is created when first needed.

    Files are written in ``<root>/.incoming`` and renamed into place. A crash may leave one there;
    no key reaches it, for no key has a name that begins with a dot.

    Args:
        root: the directory, on one file system with everything below it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._incoming = self._root / ".incoming"

    def put(self, key: str, source: Path, about: Mapping[str, str] | None = None) -> Artifact:  # noqa: ARG002 - files have no place for it
        """See ArtifactStore."""
        path = self._path(key)
        with source.open("rb") as reader, self._available():
            self._incoming.mkdir(parents=True, exist_ok=True)
            written = self._incoming / uuid4().hex
            try:
                with written.open("xb") as writer:
                    shutil.copyfileobj(reader, writer, CHUNK_BYTES)
                    size = writer.tell()
                    writer.flush()
                    os.fsync(writer.fileno())
                with self._folders_locked():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    written.replace(path)
                for folder in path.relative_to(self._root).parents:
                    _sync(self._root / folder)
            finally:
                written.unlink(missing_ok=True)
        return Artifact(key, size)

    def stat(self, key: str) -> Artifact:
        """See ArtifactStore."""
        with self._available(key):
            status = self._path(key).stat()
        if not S_ISREG(status.st_mode):
            raise ArtifactNotFoundError(key)
        return Artifact(key, status.st_size)

    def read(self, key: str, start: int = 0, end: int | None = None) -> ArtifactStream:
        """See ArtifactStore."""
        check_range(start, end)
        with self._available(key):
            body = self._path(key).open("rb", buffering=0)
            size = body.seek(0, os.SEEK_END)
            body.seek(start)
        last = size - 1 if end is None else min(end, size - 1)
        return ArtifactStream(body, max(0, last - start + 1))

    def presign(self, key: str, expires_in: int) -> str | None:  # noqa: ARG002 - the port's signature
        """None: a directory has no web server of its own. See ArtifactStore."""
        check_key(key)
        return None

    def presign_put(self, key: str, size: int, expires_in: int) -> str | None:  # noqa: ARG002 - see presign
        """None, as for ``presign``. See ArtifactStore."""
        check_key(key)
        return None

    def find(self, prefix: str = "") -> Iterator[Artifact]:
        """See ArtifactStore."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        with self._available():
            for path in _files(self._path(folder) if folder else self._root):
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix):
                    with suppress(FileNotFoundError):  # deleted since it was listed
                        yield Artifact(key, path.stat().st_size)

    def delete(self, key: str) -> None:
        """See ArtifactStore. Folders that this leaves empty go too."""
        path = self._path(key)
        with self._available():
            if not path.is_file():
                return
            with self._folders_locked():
                path.unlink(missing_ok=True)
                for folder in path.relative_to(self._root).parents[:-1]:
                    try:
                        (self._root / folder).rmdir()
                    except OSError:  # not empty
                        return

    def ping(self) -> None:
        """See ArtifactStore."""
        with self._available():
            self._incoming.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=self._incoming).close()

    def _path(self, key: str) -> Path:
        """Where a key's file lies, refusing one that a symbolic link would take outside."""
        path = self._root / check_key(key)
        if not path.resolve().is_relative_to(self._root):
            raise ValueError(f"{key!r} is no artifact key: a symbolic link leads it out of the store.")
        return path

    @contextmanager
    def _folders_locked(self) -> Iterator[None]:
        """Hold, among all processes, the right to make folders and to remove empty ones."""
        self._incoming.mkdir(parents=True, exist_ok=True)
        with (self._incoming / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _available(self, key: str | None = None) -> Iterator[None]:
        """Turn the file system's errors into the port's. ``key`` is the one that may be missing."""
        try:
            yield
        except OSError as error:
            # A root that is no directory makes the whole store useless; one that is absent is only fresh.
            is_about_one_file = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
            if key is not None and is_about_one_file and (self._root.is_dir() or not self._root.exists()):
                raise ArtifactNotFoundError(key) from error
            raise ArtifactStoreUnavailableError(
                f"The artifact directory {self._root} cannot be used: {error.strerror}. "
                "Check that it exists, has space, and may be written by this user (DATA_DIR)."
            ) from error


def _files(folder: Path) -> Iterator[Path]:
    """Regular files at any depth, in the order of their keys, dot names left out."""
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return
    # A folder's keys go on with a slash, which sorts behind "a-b" and "a.mp4" but before "ab".
    for entry in sorted(entries, key=lambda entry: f"{entry.name}/" if entry.is_dir() else entry.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
