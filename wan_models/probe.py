"""Reads one input file that a stranger sent, in a process of its own: ``python -m wan_models.probe``.

The decoders of images, sound and video are large and written in C, so the gateway never runs them itself.
This program limits its own memory, time and output first, reads the file to its end, and prints what it
found as one line of JSON: the fields of ``Media``, or ``{"error": "a sentence"}``.

A picture is written anew as an upright PNG in RGB and a sound as 16-bit PCM, so that a worker opens only
files that were made here. A video is kept as it came: to write it again would cost quality.
"""

from __future__ import annotations

import json
import sys
import warnings
import wave
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import av
from av.error import FFmpegError
from PIL import Image, ImageOps, UnidentifiedImageError

from wan_models.apart import limit_this_process
from wan_models.media import HEAD_BYTES, NAMES, Format, Media, MediaKind, sniff

MAX_PIXELS = 50_000_000
MAX_VIDEO_SIDE = 4096
MAX_VIDEO_FRAMES = 2000
MAX_AUDIO_SECONDS = 600
MEMBERS = ("src_pose.mp4", "src_face.mp4", "src_ref.png", "src_bg.mp4", "src_mask.mp4")
"""What an archive of an animation may hold."""

_MAX_ENTRIES = 64
_UNPACKED_BYTES = 256 * 1024**2
_RATES = range(8_000, 192_001)
_CHUNK_BYTES = 1024 * 1024
_CLUTTER = ("__MACOSX", ".DS_Store", "Thumbs.db")  # what desktops add to archives by themselves
# Named, so that no file makes FFmpeg take it for a playlist, which could lead anywhere.
_DEMUXERS = {"m4a": "mp4", "webm": "matroska"}
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class UnfitError(Exception):
    """The file cannot be used; the message is for the client."""


def main(arguments: list[str]) -> None:
    """Check the file: KIND SOURCE TARGET. What is kept of it is written to TARGET."""
    kind, source, target = MediaKind(arguments[0]), Path(arguments[1]), Path(arguments[2])
    limit_this_process()
    warnings.simplefilter("ignore")  # Pillow's, about odd metadata
    try:
        found = asdict(check(kind, source, target))
    except UnfitError as error:
        found = {"error": str(error)}
    except MemoryError:
        found = {"error": "It takes too much memory to read."}
    sys.stdout.write(json.dumps(found))


def check(kind: MediaKind, source: Path, target: Path) -> Media:
    """Read a file to its end, and write what is kept of it.

    Raises:
        UnfitError: it is of another kind, broken, or beyond the limits.
    """
    with source.open("rb") as file:
        found = sniff(file.read(HEAD_BYTES))
    if found is None or kind not in found.kinds:
        what = f" ({found.media_type})" if found else ""
        raise UnfitError(f"It is not {NAMES[kind]}{what}.")
    readers: dict[MediaKind, Callable[[Path, Path, Format], Media]] = {
        MediaKind.IMAGE: _image,
        MediaKind.AUDIO: _audio,
        MediaKind.VIDEO: _video,
        MediaKind.ARCHIVE: _archive,
    }
    return readers[kind](source, target, found)


def _image(source: Path, target: Path, _format: Format) -> Media:
    try:
        with Image.open(source, formats=("PNG", "JPEG", "WEBP")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnfitError(
                    f"It has {image.width}*{image.height} pixels; {MAX_PIXELS / 1e6:.0f} million are allowed."
                )
            upright = _rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError:
        raise UnfitError(f"It has more than {MAX_PIXELS / 1e6:.0f} million pixels.") from None
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError):
        raise UnfitError("The image is broken.") from None
    upright.save(target, format="PNG", compress_level=1)
    return Media(kind=MediaKind.IMAGE, suffix="png", width=upright.width, height=upright.height)


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits of red, green and blue; what is transparent becomes white."""
    if image.mode in _GREY_16:
        return image.point(lambda value: value * (1 / 257), "L").convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    flat = Image.new("RGB", colours.size, "white")
    flat.paste(colours, mask=colours.getchannel("A"))
    return flat


def _audio(source: Path, target: Path, found: Format) -> Media:
    samples = 0
    try:
        with av.open(source, format=_DEMUXERS.get(found.suffix, found.suffix)) as container:
            if not container.streams.audio:
                raise UnfitError("It has no sound.")
            stream = container.streams.audio[0]
            rate, channels = stream.rate, min(stream.channels, 2)
            if rate not in _RATES:
                raise UnfitError(f"Its sample rate of {rate} Hz is not between 8 and 192 kHz.")
            resampler = av.AudioResampler("s16", "mono" if channels == 1 else "stereo", rate)
            with wave.open(str(target), "wb") as wav:
                wav.setparams((channels, 2, rate, 0, "NONE", ""))
                for frame in chain(container.decode(stream), (None,)):
                    for part in resampler.resample(frame):
                        samples += part.samples
                        wav.writeframes(bytes(part.planes[0])[: part.samples * channels * 2])
                    if samples > MAX_AUDIO_SECONDS * rate:
                        raise UnfitError(f"The sound is longer than {MAX_AUDIO_SECONDS} seconds.")
    except (FFmpegError, OSError, ValueError):
        raise UnfitError("The sound is broken.") from None
    return Media(kind=MediaKind.AUDIO, suffix="wav", seconds=samples / rate)


def _video(source: Path, target: Path, found: Format) -> Media:
    frames = 0
    try:
        with av.open(source, format=_DEMUXERS.get(found.suffix, found.suffix)) as container:
            if not container.streams.video:
                raise UnfitError("It has no pictures.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            width, height = stream.width, stream.height
            if not 0 < max(width, height) <= MAX_VIDEO_SIDE:
                raise UnfitError(f"It is {width}*{height}; {MAX_VIDEO_SIDE} pixels a side are allowed.")
            for frame in container.decode(stream):
                frames += 1
                if frames > MAX_VIDEO_FRAMES:
                    raise UnfitError(f"It has more than {MAX_VIDEO_FRAMES} frames.")
                if (frame.width, frame.height) != (width, height):
                    raise UnfitError("Its frames are not all of one size.")
    except (FFmpegError, OSError, ValueError):
        raise UnfitError("The video is broken.") from None
    if not frames:
        raise UnfitError("It has no frames.")
    source.replace(target)
    return Media(kind=MediaKind.VIDEO, suffix=found.suffix, width=width, height=height, frames=frames)


def _archive(source: Path, target: Path, _format: Format) -> Media:
    """Unpack the members of an animation, by our own names, into the folder ``target``."""
    target.mkdir()
    try:
        with ZipFile(source) as archive:
            left = _UNPACKED_BYTES
            for name, entry in _members(archive).items():
                left -= _unpack(archive, entry, target / name, left)
    except (BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError):
        raise UnfitError("The archive is broken.") from None
    return Media(kind=MediaKind.ARCHIVE, suffix="zip")


def _members(archive: ZipFile) -> dict[str, ZipInfo]:
    """The files to unpack, by name. They may lie in one folder, as they do where a folder was packed."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > _MAX_ENTRIES:
        raise UnfitError(f"The archive has {len(entries)} files; it should hold {', '.join(MEMBERS)}.")
    members: dict[str, ZipInfo] = {}
    folders = set()
    for entry in entries:
        if set(entry.filename.split("/")) & set(_CLUTTER):
            continue
        folder, slash, name = entry.filename.rpartition("/")
        strange = "/" in folder or folder in (".", "..") or (slash and not folder)
        if name not in MEMBERS or name in members or strange:
            raise UnfitError(
                f"The archive holds {entry.filename[:80]!r}; it should hold {', '.join(MEMBERS)}."
            )
        folders.add(folder)
        members[name] = entry
    if len(folders) > 1:
        raise UnfitError("The archive's files lie in several folders.")
    return members


def _unpack(archive: ZipFile, entry: ZipInfo, to: Path, most: int) -> int:
    """Write one member and return its size; what the archive says of that is not relied on."""
    if entry.flag_bits & 1:
        raise UnfitError("The archive is encrypted.")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise UnfitError("The archive is compressed in an unusual way; use deflate.")
    written = 0
    with archive.open(entry) as packed, to.open("xb") as file:
        while chunk := packed.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > most:
                raise UnfitError(f"The archive unpacks to more than {_UNPACKED_BYTES // 1024**2} MiB.")
            file.write(chunk)
    return written


if __name__ == "__main__":
    main(sys.argv[1:])
