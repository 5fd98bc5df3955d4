"""One file from the hub into a folder: it goes on where it stopped, and appears once its digest is right."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock

from scripts.models.errors import DamagedFileError, InstallError
from scripts.models.half import halve
from scripts.models.hub import Hub, HubFile, Snapshot, TryAgainError
from wan_models.manifest import FileEntry, git_digest_of, sha256_of

_TRIES = 5  # in a row that bring nothing
_SHA256_DIGITS = 64
_PARTIAL = ".incomplete"

OnBytes = Callable[[int], None]
"""Told how many bytes came; fewer than none where some have to come again."""


class StoppedError(InstallError):
    """Another file's fault, or Ctrl-C, ended the download."""


class Fetcher:
    """Brings files of one snapshot into a folder, on as many threads as call it.

    Args:
        hub: where they are.
        snapshot: which they are.
        folder: where they go.
        stopped: set to have all of them stop.
        wait: waits so many seconds before another try.
    """

    def __init__(
        self,
        hub: Hub,
        snapshot: Snapshot,
        folder: Path,
        stopped: Event,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._hub = hub
        self._snapshot = snapshot
        self._folder = folder
        self._stopped = stopped
        self._wait = wait
        self._halving = Lock()  # each takes gigabytes of memory

    def fetch(self, file: HubFile, on_bytes: OnBytes, *, half: bool) -> FileEntry:
        """Bring one file, in bfloat16 if it is to be halved.

        Raises:
            InstallError: it cannot be had; what came is kept for another time.
            OSError: it cannot be written.
        """
        target = self._folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(self._folder, file)
        if not self._is_there(target, file, on_bytes):
            self._bring(file, partial, on_bytes)
            _settle(partial, target)
        if half:
            with self._halving:
                _halve_in_place(target)
        return FileEntry(target.stat().st_size, sha256_of(target), file.digest)

    def _is_there(self, target: Path, file: HubFile, on_bytes: OnBytes) -> bool:
        if not (
            target.is_file() and target.stat().st_size == file.size and _digest(target, file) == file.digest
        ):
            return False
        on_bytes(file.size)
        return True

    def _bring(self, file: HubFile, partial: Path, on_bytes: OnBytes) -> None:
        for last in (False, True):
            self._fill(file, partial, on_bytes)
            if _digest(partial, file) == file.digest:
                return
            partial.unlink()
            on_bytes(-file.size)
            if last:
                name = f"{self._snapshot.repository}/{file.path}"
                raise DamagedFileError(
                    f"{name} came twice with another content than the hub announced."
                    " A proxy or mirror in between may be at fault; try again, or set HF_ENDPOINT to another."
                )

    def _fill(self, file: HubFile, partial: Path, on_bytes: OnBytes) -> None:
        """Add to the partial file until it has its size, however often the connection breaks."""
        partial.touch()
        size = partial.stat().st_size
        on_bytes(size)
        fruitless = 0
        while size < file.size:
            try:
                self._add(file, partial, size, on_bytes)
                fault = TryAgainError(f"{file.path}: the connection was closed early.")
            except TryAgainError as error:
                fault = error
            before, size = size, partial.stat().st_size
            fruitless = fruitless + 1 if size <= before else 0
            if fruitless == _TRIES:
                raise fault
            if size < file.size:
                self._wait(fault.seconds or 2.0**fruitless - 1)

    def _add(self, file: HubFile, partial: Path, size: int, on_bytes: OnBytes) -> None:
        with (
            self._hub.read(self._snapshot, file.path, size) as (start, chunks),
            partial.open("r+b") as sink,
        ):
            if start != size:  # the hub began anew
                on_bytes(-size)
                sink.truncate(0)
            for chunk in chunks:
                if self._stopped.is_set():
                    raise StoppedError("The download was stopped.")
                sink.seek(0, os.SEEK_END)
                sink.write(chunk)
                on_bytes(len(chunk))
                if sink.tell() > file.size:
                    break  # longer than it should be: its digest will be wrong


def partial_path(folder: Path, file: HubFile) -> Path:
    """Where a file grows until it is whole."""
    target = folder / file.path
    return target.with_name(f"{target.name}.{file.digest[:12]}{_PARTIAL}")


def _digest(path: Path, file: HubFile) -> str:
    return sha256_of(path) if len(file.digest) == _SHA256_DIGITS else git_digest_of(path)


def _settle(partial: Path, target: Path) -> None:
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.replace(target)


def _halve_in_place(target: Path) -> None:
    smaller = target.with_name(f"{target.name}.half")
    halve(target, smaller)
    _settle(smaller, target)
