"""Pictures out of a video. ``wan_models.frames`` makes them, in a process of its own."""

from __future__ import annotations

import subprocess
from enum import StrEnum
from pathlib import Path

from wan_models.apart import run_apart
from wan_models.errors import ModelsError

_SECONDS = 120.0


class Still(StrEnum):
    """Which picture."""

    THUMBNAIL = "thumbnail"  # the first frame, small; WebP
    SPRITESHEET = "spritesheet"  # up to 20 frames over the whole length, row by row; JPEG
    FIRST = "first"  # the first frame as it is; PNG
    LAST = "last"  # the last one

    @property
    def suffix(self) -> str:
        """The file's name ends so."""
        return {Still.THUMBNAIL: ".webp", Still.SPRITESHEET: ".jpg"}.get(self, ".png")


class StillError(ModelsError):
    """No picture could be made of the video."""


def make_still(kind: Still, video: Path, target: Path) -> None:
    """Write a picture of a video.

    Raises:
        StillError: the video cannot be read.
    """
    try:
        run_apart("wan_models.frames", kind, video, target, seconds=_SECONDS)
    except subprocess.SubprocessError:
        raise StillError("The video cannot be read.") from None
