"""Input files: their kinds, how their first bytes tell, and what is known of a checked one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 16
"""How much of a file ``sniff`` needs to see."""

MIN_AUDIO_SECONDS = 0.3
"""What a speech encoder needs at least to hear anything."""


class MediaKind(StrEnum):
    """What an input file is used as. One container may hold sound for one task and pictures for another."""

    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: its suffix, its media type, and what a file of it can be used as."""

    suffix: str
    media_type: str
    kinds: frozenset[MediaKind]

    @property
    def kind(self) -> MediaKind:
        """What a file of it is first of all: a video may be used as a sound as well."""
        return MediaKind.VIDEO if MediaKind.VIDEO in self.kinds else next(iter(self.kinds))


_IMAGE = frozenset({MediaKind.IMAGE})
_AUDIO = frozenset({MediaKind.AUDIO})
_EITHER = frozenset({MediaKind.VIDEO, MediaKind.AUDIO})

FORMATS = {
    format_.suffix: format_
    for format_ in (
        Format("png", "image/png", _IMAGE),
        Format("jpg", "image/jpeg", _IMAGE),
        Format("webp", "image/webp", _IMAGE),
        Format("wav", "audio/wav", _AUDIO),
        Format("mp3", "audio/mpeg", _AUDIO),
        Format("flac", "audio/flac", _AUDIO),
        Format("ogg", "audio/ogg", _AUDIO),
        Format("m4a", "audio/mp4", _AUDIO),
        Format("mp4", "video/mp4", _EITHER),
        Format("webm", "video/webm", _EITHER),
        Format("zip", "application/zip", frozenset({MediaKind.ARCHIVE})),
    )
}
"""The formats that are taken, by suffix."""

NAMES = {
    MediaKind.IMAGE: "a PNG, JPEG or WebP image",
    MediaKind.AUDIO: "a WAV, MP3, FLAC, Ogg or M4A file",
    MediaKind.VIDEO: "an MP4 or WebM video",
    MediaKind.ARCHIVE: "a .zip archive",
}
"""What a client is told to send, by kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What is known of a checked file; None where it has no such thing.

    ``suffix`` is that of its format. Sizes are in pixels, upright; ``frames`` were counted by decoding;
    ``seconds`` is the length of a sound.
    """

    kind: MediaKind
    suffix: str
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    seconds: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of a picture or video, in pixels.

        Raises:
            ValueError: it is a sound.
        """
        if self.width is None or self.height is None:
            raise ValueError(f"A file of kind {self.kind} has no size.")
        return self.width, self.height


def sniff(head: bytes) -> Format | None:
    """The format that a file's first bytes tell, or None where it is none of ours.

    Names and declared types are never asked: whoever sends the file chooses them.

    Args:
        head: the first ``HEAD_BYTES`` of the file, or all of a shorter one.
    """
    suffix = _signature(head) or _riff(head) or _iso(head) or _mp3(head)
    return FORMATS[suffix] if suffix else None


def _signature(head: bytes) -> str | None:
    signatures = {
        b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpg",
        b"fLaC": "flac",
        b"OggS": "ogg",
        b"ID3": "mp3",
        b"\x1aE\xdf\xa3": "webm",
        b"PK\x03\x04": "zip",
    }
    return next((suffix for magic, suffix in signatures.items() if head.startswith(magic)), None)


def _riff(head: bytes) -> str | None:
    forms = {b"WEBP": "webp", b"WAVE": "wav"}
    return forms.get(head[8:12]) if head[:4] == b"RIFF" else None


def _iso(head: bytes) -> str | None:
    if head[4:8] != b"ftyp" or head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"mif1"):
        return None
    return "m4a" if head[8:12] in (b"M4A ", b"M4B ") else "mp4"


def _mp3(head: bytes) -> str | None:
    """A frame header of MPEG audio, layer III, without a tag in front."""
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - the header's bits
        return None
    return "mp3"
