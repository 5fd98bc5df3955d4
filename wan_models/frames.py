"""Makes a picture out of a video: ``python -m wan_models.frames KIND VIDEO TARGET``.

The gateway never decodes video itself; it runs this when a client asks for a picture.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import av
from av import VideoFrame
from av.container import InputContainer
from PIL import Image

from wan_models.apart import limit_this_process
from wan_models.stills import Still

_THUMBNAIL_SIDE = 512
_TILE_SIDE = 240
_COLUMNS, _ROWS = 5, 4


def main(kind: Still, video: Path, target: Path) -> None:
    """Write a picture of a video."""
    limit_this_process()
    with av.open(video) as container:
        frames = [_picture(frame, kind) for frame in _chosen(kind, container)]
    if kind is not Still.SPRITESHEET:
        frames[0].save(target)
        return
    width, height = frames[0].size
    columns = min(_COLUMNS, len(frames))
    sheet = Image.new("RGB", (columns * width, -(-len(frames) // columns) * height))
    for place, frame in enumerate(frames):
        sheet.paste(frame, (place % columns * width, place // columns * height))
    sheet.save(target, quality=85)


def _chosen(kind: Still, container: InputContainer) -> Iterable[VideoFrame]:
    """The frames to show, decoded one after the other: a long video is never in memory as a whole."""
    frames = container.decode(video=0)
    if kind is Still.LAST:
        return deque(frames, maxlen=1)
    if kind is not Still.SPRITESHEET:
        return islice(frames, 1)
    count = max(1, container.streams.video[0].frames)  # 0 where the file does not say
    tiles = min(_COLUMNS * _ROWS, count)
    places = {place * count // tiles for place in range(tiles)}
    return (frame for place, frame in enumerate(frames) if place in places)


def _picture(frame: VideoFrame, kind: Still) -> Image.Image:
    picture: Image.Image = frame.to_image()  # type: ignore[no-untyped-call] # PyAV annotates it not
    side = {Still.THUMBNAIL: _THUMBNAIL_SIDE, Still.SPRITESHEET: _TILE_SIDE}.get(kind)
    if side:
        picture.thumbnail((side, side))
    return picture


if __name__ == "__main__":
    main(Still(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
