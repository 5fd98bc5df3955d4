"""What a pipeline may save while it denoises, so that another attempt can go on from there. No torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from wan_models.request import VideoRequest

_FORMAT = 1  # counts up whenever older files can no longer be read
_LARGEST_CONFIGURATION = 64 * 1024  # bytes; what is larger is a vocabulary
_LIBRARIES = ("diffusers", "torch")  # another version may compute other bytes

UNUSABLE = "The checkpoint of an earlier attempt is of no use; beginning anew"
"""What the owner of a run is told, whatever is wrong with the checkpoint."""


class Checkpoints(Protocol):
    """The checkpoints of one run. No method raises: a run without checkpoints is still a run.

    The fingerprint is written into every file, and a file with another one is not resumed from.
    """

    @property
    def fingerprint(self) -> str:
        """What this run's checkpoints are known by."""
        ...

    def resume(self) -> Path | None:
        """A local file that an earlier attempt saved, or None to begin at the first step."""
        ...

    def due(self) -> bool:
        """Whether the run should save its state after the step that it just took."""
        ...

    def save(self, step: int, write: Callable[[Path], None]) -> None:
        """Store what ``write`` puts into a file, in the background; ``write`` is called on another thread.

        ``step`` counts from 1 over the whole run.
        """
        ...


def fingerprint(request: VideoRequest, model: Path) -> str:
    """What a checkpoint belongs to: this request, on this model, computed by these libraries.

    The model counts by its configuration files and by the names and sizes of its weights.
    """
    digest = hashlib.sha256(f"{_FORMAT}\n{request.model_dump_json()}\n".encode())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(model)} {size}\n".encode())
        if file.suffix == ".json" and size <= _LARGEST_CONFIGURATION:
            digest.update(file.read_bytes())
    return digest.hexdigest()
