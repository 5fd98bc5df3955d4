"""Folders for temporary files. What a process leaves in them that was killed is found and deleted by others.

A folder is locked for as long as its process lives. The kernel lets go of the lock when that ends, however it
ends, so a folder that can be locked is nobody's any more; process ids would be taken again.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from shutil import rmtree

PREFIX = "wanserve-scratch-"
"""What the names of all such folders begin with; ``wan_models.pipelines.parallel`` has one, too."""

_YOUNG_SECONDS = 60.0  # between being made and being locked, a folder looks like one that was left


def temporary_folder() -> Path:
    """Where temporary files go; on a full disk, where they would. A process has to start there, too."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # it is tried by writing to it
        return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - nothing is made there by this name


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder of this process's own, for as long as the context lasts. Its name tells the purpose.

    Raises:
        OSError: there is no room for temporary files.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-"))
    descriptor = _open(folder)
    try:
        with suppress(OSError):  # a file system without locks, where nothing will be swept either
            flock(descriptor, LOCK_SH)
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep_scratch(clock: Callable[[], float] = time.time) -> None:
    """Delete the folders of processes that have ended. Those of others are in use, or not ours to touch."""
    for folder in temporary_folder().glob(f"{PREFIX}*"):
        with suppress(OSError):
            _sweep(folder, clock() - _YOUNG_SECONDS)


def _sweep(folder: Path, before: float) -> None:
    descriptor = _open(folder)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.getuid() and status.st_mtime < before:
            flock(descriptor, LOCK_EX | LOCK_NB)
            rmtree(folder)
    finally:
        os.close(descriptor)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
