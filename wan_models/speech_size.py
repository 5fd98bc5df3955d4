"""How large a talking portrait becomes within a given area. No torch here."""

from __future__ import annotations

import math

_MULTIPLE = 64
_SEARCH_STEPS = 100


def fitting_size(height: int, width: int, area: int) -> tuple[int, int]:
    """The height and width of the video, in multiples of 64 pixels, for a portrait of this size.

    The portrait is shrunk, never enlarged, until both sides rounded up to multiples of 64 fit into the
    area. After ``get_size_less_than_area`` in ``wan/speech2video.py`` of Wan-Video/Wan2.2, whose search
    in a hundred steps is kept, since it decides between neighbouring sizes.

    Args:
        height: of the portrait, in pixels.
        width: of the portrait.
        area: the most pixels that a frame may have.
    """
    smallest, largest = _scales(height, width, area)
    for step in range(_SEARCH_STEPS):
        scale = largest - (largest - smallest) * step / _SEARCH_STEPS
        rounded_up = tuple(-(-int(side * scale) // _MULTIPLE) * _MULTIPLE for side in (height, width))
        if math.prod(rounded_up) <= area:
            return rounded_up[0], rounded_up[1]
    return _by_aspect(height, width, area)


def _scales(height: int, width: int, area: int) -> tuple[float, float]:
    """The scales that fit for certain (with 63 pixels added to each side), and only just (with none)."""
    pixels = height * width
    if pixels <= area:
        return 0.1, 1.0
    padding = _MULTIPLE - 1
    b = padding * (height + width)
    smallest = (-b + math.sqrt(b**2 - 2 * pixels * (padding**2 - area))) / (2 * pixels)
    return smallest, math.sqrt(area / pixels)


def _by_aspect(height: int, width: int, area: int) -> tuple[int, int]:
    """Round down instead, for a portrait too long and thin for the search."""
    aspect = width / height
    wide = int((area * aspect) ** 0.5 // _MULTIPLE * _MULTIPLE)
    high = int((area / aspect) ** 0.5 // _MULTIPLE * _MULTIPLE)
    if wide >= width or high >= height:
        return height // _MULTIPLE * _MULTIPLE, width // _MULTIPLE * _MULTIPLE
    return high, wide
