"""How large a video becomes that is made from a picture: ``size`` names an area, the picture its shape.

Each task has a rule of its own in Wan's code. No torch here: the gateway fills in width and height with
it at submit, so that a job says what it will make before it runs.
"""

from __future__ import annotations

from math import isqrt

from wan_models.catalog import Kind, ModelSpec, Size
from wan_models.speech_size import fitting_size

MAX_ASPECT = 8
"""How much longer than the other one side of a picture may be."""


def video_size(spec: ModelSpec, area: Size, picture: Size) -> Size:
    """The size of the video that a task makes from a picture, or from the first frame of a pose video.

    Args:
        spec: the task.
        area: the size asked for; its product is the most pixels that a frame may have.
        picture: what the client sent, upright.

    Returns:
        Sides in pixels, multiples of ``spec.size_multiple``, as near as that allows to the picture's shape.

    Raises:
        ValueError: the picture is too narrow, or too small, for any such size.
    """
    if max(picture) > MAX_ASPECT * min(picture):
        raise ValueError(
            f"A picture of {picture} is too narrow: one side is over {MAX_ASPECT} times the other."
        )
    if spec.kind is Kind.ANIMATION:
        size = _within(min(area, picture, key=_pixels), picture, spec.size_multiple)
    elif spec.kind is Kind.SPEECH_TO_VIDEO:
        size = Size(*reversed(fitting_size(picture.height, picture.width, _pixels(area))))
    elif spec.kind is Kind.TEXT_IMAGE_TO_VIDEO:
        size = _nearest_shape(area, picture, spec.size_multiple)
    else:
        size = _within(area, picture, spec.size_multiple)
    if 0 in size:
        raise ValueError(f"A picture of {picture} is too small or too narrow for a video of {area}.")
    return size


def _pixels(size: Size) -> int:
    return size.width * size.height


def _within(area: Size, picture: Size, multiple: int) -> Size:
    """Each side rounded down by itself (``wan/image2video.py``), in whole numbers.

    Wan's own floating point loses a row of patches to rounding where the picture already has the size.
    """
    width = isqrt(_pixels(area) * picture.width // picture.height)
    height = isqrt(_pixels(area) * picture.height // picture.width)
    return Size(width // multiple * multiple, height // multiple * multiple)


def _nearest_shape(area: Size, picture: Size, multiple: int) -> Size:
    """One side rounded down and the other one fitted, whichever keeps the shape (``best_output_size``)."""
    exact = _within(area, picture, 1)
    by_height = Size(*reversed(_fit(exact.height, area, multiple)))
    by_width = Size(*_fit(exact.width, area, multiple))
    candidates = [size for size in (by_height, by_width) if 0 not in size]  # the first one wins a tie
    return min(candidates, key=lambda size: _distortion(size, picture), default=Size(0, 0))


def _fit(side: int, area: Size, multiple: int) -> tuple[int, int]:
    """A side rounded down, and the longest other side that the area leaves room for."""
    side = side // multiple * multiple
    return side, _pixels(area) // side // multiple * multiple if side else 0


def _distortion(size: Size, picture: Size) -> float:
    """By how much the shapes differ, from 1 upwards."""
    ratio = size.width * picture.height / (size.height * picture.width)
    return max(ratio, 1 / ratio)
