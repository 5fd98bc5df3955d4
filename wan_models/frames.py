"""Makes a picture out of a video: ``python -m wan_models.frames KIND VIDEO TARGET``.

The gateway never decodes video itself; it runs this when a client asks for a picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
from av import VideoFrame
from PIL import Image

from wan_models.stills import Still

_THUMBNAIL_SIDE = 512
_TILE_SIDE = 240
_COLUMNS, _ROWS = 5, 4


def main(kind: Still, video: Path, target: Path) -> None:
    """Write a picture of a video."""
    with av.open(video) as container:
        frames = [frame.to_image() for frame in _chosen(kind, list(container.decode(video=0)))]  # type: ignore[no-untyped-call] # PyAV annotates it not
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


def _chosen(kind: Still, frames: list[VideoFrame]) -> list[VideoFrame]:
    if kind is Still.LAST:
        return frames[-1:]
    if kind is not Still.SPRITESHEET:
        return frames[:1]
    tiles = min(_COLUMNS * _ROWS, len(frames))
    return [frames[place * len(frames) // tiles] for place in range(tiles)]


if __name__ == "__main__":
    main(Still(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
