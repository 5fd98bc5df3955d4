"""Room on the disks that this process writes files to: looked at before work is taken on."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import DiskFullError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(folder: Path) -> int:
    """What a folder's disk has left for this user; of one that is yet to be made, its parent's.

    Raises:
        OSError: the disk does not answer.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


class Disks:
    """The disks of some folders, each of which is to keep so many bytes free.

    Args:
        folders: by a name for people.
        reserve: how many bytes.
        free: tells how many are free at a folder.
    """

    def __init__(
        self, folders: Mapping[str, Path], reserve: int, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self.folders = folders
        self.reserve = reserve
        self._free = free

    def free(self) -> dict[str, int]:
        """Bytes free at each folder by its name; a disk that does not answer has none."""
        return {name: self._free_at(folder) for name, folder in self.folders.items()}

    def are_full(self) -> bool:
        """Whether one of them has less left than it is to keep."""
        return any(free < self.reserve for free in self.free().values())

    def check(self) -> None:
        """Raise DiskFullError unless there is room for another file."""
        if self.are_full():
            raise DiskFullError

    def _free_at(self, folder: Path) -> int:
        try:
            return self._free(folder)
        except OSError:
            return 0


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Raise DiskFullError in place of the OSError of a disk that fills while this block writes to it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError from error
        raise


NO_DISKS = Disks({}, 0)
"""Never full."""
