"""Videos that come with a request, as pictures of one size at one pace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.video.reformatter import Interpolation
from PIL import Image

from wan_models.catalog import Size
from wan_models.errors import UnusableInputError
from wan_models.pipelines.picture import cover, input_path


@dataclass(frozen=True, slots=True)
class Footage:
    """A video, decoded: ``native`` is the size of its file, ``frames`` have the size that was asked for."""

    native: Size
    frames: list[Image.Image]


def read_footage(inputs: Mapping[str, Path], name: str, size: Size, fps: int, limit: int) -> Footage:
    """Decode a video to a size, at a number of frames a second, so that it lasts as long as before.

    A video that has that pace is taken frame by frame; in another one, frames are repeated or left out.

    Raises:
        UnusableInputError: it was not given, is no video, is a single frame, or has more than ``limit``.
    """
    path = input_path(inputs, name)
    try:
        with av.open(path) as container:
            native, frames = _decode(container, size, fps, limit + 1)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise UnusableInputError(name, f"it cannot be read as a video ({error}).") from error
    if len(frames) < 2:  # noqa: PLR2004 - a video moves
        raise UnusableInputError(name, "it has a single frame; a video needs two or more.")
    if len(frames) > limit:
        raise UnusableInputError(name, f"it is longer than {limit / fps:.4g} s.")
    return Footage(native, frames)


def read_beginning(
    inputs: Mapping[str, Path], name: str, size: Size, fps: int, most: int
) -> list[Image.Image]:
    """Decode up to ``most`` frames at a pace, each covering a size: what stands out of it is cut off.

    Raises:
        UnusableInputError: it was not given, or is no video.
    """
    path = input_path(inputs, name)
    try:
        with av.open(path) as container:
            stream = container.streams.video[0]
            paced = _paced(container.decode(stream), stream.average_rate or Fraction(fps), fps)
            frames = [cover(frame.to_image(), size) for frame in islice(paced, most)]
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise UnusableInputError(name, f"it cannot be read as a video ({error}).") from error
    if not frames:
        raise UnusableInputError(name, "it has no frames.")
    return frames


def _decode(container: InputContainer, size: Size, fps: int, limit: int) -> tuple[Size, list[Image.Image]]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    native = Size(stream.width, stream.height)
    pictures = _paced(container.decode(stream), stream.average_rate or Fraction(fps), fps)
    return native, [_picture(frame, size) for frame in islice(pictures, limit)]


def _paced(frames: Iterator[av.VideoFrame], rate: Fraction, fps: int) -> Iterator[av.VideoFrame]:
    """Show each frame for its time: frame k of the answer is the one that stands at k / fps seconds."""
    shown = 0
    for index, frame in enumerate(frames):
        while shown * rate < (index + 1) * fps:
            yield frame
            shown += 1


def _picture(frame: av.VideoFrame, size: Size) -> Image.Image:
    scaled = frame.reformat(size.width, size.height, format="rgb24", interpolation=Interpolation.BICUBIC)
    return Image.fromarray(scaled.to_ndarray())
