"""Checkpoints of runs, in a file."""

from collections.abc import Callable
from pathlib import Path


class FileCheckpoints:
    """Saves into one file, at once, behind every step or behind ``only`` one."""

    def __init__(self, path: Path, fingerprint: str = "this run", *, only: int | None = None) -> None:
        self.fingerprint = fingerprint
        self.path = path
        self.saved: list[int] = []
        self.wanted = True
        self._only = only

    def resume(self) -> Path | None:
        return self.path if self.path.exists() else None

    def due(self) -> bool:
        return self.wanted

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        if self._only in {None, step}:
            write(self.path)
            self.saved.append(step)
