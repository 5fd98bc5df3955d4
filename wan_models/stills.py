"""Pictures out of a finished video, by ``python -m wan_models.stills KIND VIDEO TARGET``.

The gateway asks for them when a client does, and keeps what it gets; it never decodes video itself.
"""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path

from wan_models.errors import ModelsError

_SECONDS = 120.0
_THUMBNAIL_SIDE = 512
_TILE_SIDE = 240
_COLUMNS, _ROWS = 5, 4


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
        subprocess.run(  # noqa: S603 - our own program; the paths are our own as well
            [sys.executable, "-m", "wan_models.stills", kind, video, target],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError:
        raise StillError("The video cannot be read.") from None


def _main(kind: Still, video: Path, target: Path) -> None:
    # Only this process needs them: the gateway imports this file as well.
    import av  # noqa: PLC0415 - see above
    from PIL import Image  # noqa: PLC0415 - see above

    with av.open(video) as container:
        frames = [frame.to_image() for frame in _chosen(kind, list(container.decode(video=0)))]
    if kind is Still.THUMBNAIL:
        frames[0].thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    if kind is not Still.SPRITESHEET:
        frames[0].save(target)
        return
    for frame in frames:
        frame.thumbnail((_TILE_SIDE, _TILE_SIDE))
    width, height = frames[0].size
    columns = min(_COLUMNS, len(frames))
    sheet = Image.new("RGB", (columns * width, -(-len(frames) // columns) * height))
    for place, frame in enumerate(frames):
        sheet.paste(frame, (place % columns * width, place // columns * height))
    sheet.save(target, quality=85)


def _chosen(kind: Still, frames: list) -> list:  # type: ignore[type-arg] # PyAV's frames; see _main
    if kind is Still.LAST:
        return frames[-1:]
    if kind is not Still.SPRITESHEET:
        return frames[:1]
    tiles = min(_COLUMNS * _ROWS, len(frames))
    return [frames[place * len(frames) // tiles] for place in range(tiles)]


if __name__ == "__main__":
    _main(Still(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
