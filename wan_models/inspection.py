"""Checking an input file without reading it in this process; ``wan_models.probe`` does the work."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from threading import BoundedSemaphore

from wan_models.apart import run_apart
from wan_models.errors import ModelsError
from wan_models.media import Media, MediaKind

_SECONDS = 180.0


class UnfitMediaError(ModelsError):
    """A file cannot be used as an input; the message tells the client why."""


class Inspector:
    """Checks files, each in a process of its own, a few at a time; safe to share between threads."""

    def __init__(self, at_once: int = 6) -> None:
        self._turn = BoundedSemaphore(at_once)

    def inspect(self, kind: MediaKind, source: Path, target: Path) -> Media:
        """Check a file and write what is kept of it to ``target``; ``source`` may be used up.

        An archive is unpacked into a new folder ``target``.

        Raises:
            UnfitMediaError: the file is of another kind, broken, or too large to be read.
        """
        with self._turn:
            try:
                found = json.loads(run_apart("wan_models.probe", kind, source, target, seconds=_SECONDS))
            except (subprocess.SubprocessError, ValueError):
                raise UnfitMediaError("The file cannot be read within reasonable time and memory.") from None
        if "error" in found:
            raise UnfitMediaError(found["error"])
        return Media(**found | {"kind": MediaKind(found["kind"])})
