"""Pictures that come with a request, made to fit a frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageOps

from wan_models.catalog import Size
from wan_models.errors import UnusableInputError


def input_path(inputs: Mapping[str, Path], name: str) -> Path:
    """Where an input lies.

    Raises:
        UnusableInputError: it was not given.
    """
    if name not in inputs:
        raise UnusableInputError(name, "this task needs it, and it was not given.")
    return inputs[name]


def open_picture(inputs: Mapping[str, Path], name: str) -> Image.Image:
    """Read a picture in RGB, turned upright as its EXIF data says; what is transparent becomes white.

    Raises:
        UnusableInputError: it was not given, is no picture, is cut off, or is too large.
    """
    path = input_path(inputs, name)
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableInputError(name, f"it cannot be read as a picture ({error}).") from error
    white = Image.new("RGBA", upright.size, "white")
    return Image.alpha_composite(white, upright).convert("RGB")


def contain(picture: Image.Image, size: Size) -> Image.Image:
    """Scale a picture until it fits into a size, in the middle of black (``wan/animate.py``)."""
    return ImageOps.pad(picture, size, Image.Resampling.BILINEAR, color="black")


def cover(picture: Image.Image, size: Size) -> Image.Image:
    """Scale a picture until it covers a size, and cut off evenly what stands out.

    Wan does so for the 5B model (``wan/textimage2video.py``); a video's size follows its picture's shape, so
    that little is lost.
    """
    scale = max(size.width / picture.width, size.height / picture.height)
    whole = (round(picture.width * scale), round(picture.height * scale))
    left, top = (whole[0] - size.width) // 2, (whole[1] - size.height) // 2
    scaled = picture.resize(whole, Image.Resampling.LANCZOS)
    return scaled.crop((left, top, left + size.width, top + size.height))
