"""Reading installed models again, byte by byte, without the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wan_models.manifest import FileEntry, Manifest, sha256_of


def damaged_files(folder: Path, on_file: Callable[[int], None] = lambda _size: None) -> list[str]:
    """The files of a model that are missing, or not as they were when they had been checked.

    The manifest remembers them: a model with damaged files does not count as installed.

    Args:
        folder: the model's.
        on_file: told the size of each file that was read.
    """
    manifest = Manifest.read(folder)
    damaged = []
    for name, entry in manifest.files.items():
        if not _is_as_recorded(folder / name, entry):
            damaged.append(name)
        on_file(entry.size)
    if tuple(damaged) != manifest.damaged:
        replace(manifest, damaged=tuple(damaged)).write(folder)
    return damaged


def _is_as_recorded(path: Path, entry: FileEntry) -> bool:
    try:
        return path.stat().st_size == entry.size and sha256_of(path) == entry.sha256
    except OSError:
        return False
