"""Checking an input file without reading it in this process; ``wan_models.probe`` does the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import BoundedSemaphore

from wan_models.errors import ModelsError
from wan_models.media import Media, MediaKind

_SECONDS = 180.0
_ROOT = Path(__file__).parent.parent


class UnfitMediaError(ModelsError):
    """A file cannot be used as an input; the message tells the client why."""


class Inspector:
    """Checks files, each in a process of its own, a few at a time; safe to share between threads."""

    def __init__(self, at_once: int = 4) -> None:
        self._turn = BoundedSemaphore(at_once)

    def inspect(self, kind: MediaKind, source: Path, target: Path) -> Media:
        """Check a file and write what is kept of it to ``target``; ``source`` may be used up.

        An archive is unpacked into a new folder ``target``.

        Raises:
            UnfitMediaError: the file is of another kind, broken, or too large to be read.
        """
        with self._turn:
            try:
                found = json.loads(_probe(kind, source, target))
            except (subprocess.SubprocessError, ValueError):
                raise UnfitMediaError("The file cannot be read within reasonable time and memory.") from None
        if "error" in found:
            raise UnfitMediaError(found["error"])
        return Media(**found | {"kind": MediaKind(found["kind"])})


def _probe(kind: MediaKind, source: Path, target: Path) -> bytes:
    # Nothing of this process's environment: it holds secrets, and a decoder of strangers' files needs none.
    environment = {"PATH": os.defpath, "PYTHONPATH": str(_ROOT), "LANG": "C.UTF-8"}
    return subprocess.run(  # noqa: S603 - our own program; the paths are our own as well
        [sys.executable, "-m", "wan_models.probe", kind, source, target],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_SECONDS,
        check=True,
    ).stdout
