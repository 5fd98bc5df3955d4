"""Small inputs to try a service with: a portrait, a spoken-like sound, the files of an animation."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from itertools import pairwise
from zipfile import ZipFile

_RATE = 16_000
_BLACK, _WHITE = b"\0\0\0\xff", b"\xff\xff\xff\xff"


def portrait(width: int = 96, height: int = 96) -> bytes:
    """A PNG with a slope of colour."""
    row_of = range(width)
    rows = b"".join(
        b"\0" + b"".join(bytes((255 * x // width, 255 * y // height, 128)) for x in row_of)
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def speech(seconds: float = 1.0) -> bytes:
    """A WAV whose tone comes and goes four times a second, about as syllables do."""
    count = int(seconds * _RATE)
    samples = (
        int(12_000 * abs(math.sin(4 * math.pi * i / _RATE)) * math.sin(math.tau * 180 * i / _RATE))
        for i in range(count)
    )
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, _RATE, count, "NONE", ""))
        file.writeframes(struct.pack(f"<{count}h", *samples))
    return buffer.getvalue()


def animation(frames: int = 9) -> bytes:
    """A .zip with a moving pose and a face, both with nobody in them, and a character."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as packed:
        packed.writestr("src_pose.mp4", _video(frames, 128, 64))
        packed.writestr("src_face.mp4", _video(frames, 64, 64))
        packed.writestr("src_ref.png", portrait())
    return buffer.getvalue()


def _video(frames: int, width: int, height: int) -> bytes:
    import av  # noqa: PLC0415 - the other checks do without

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for left, right in pairwise(width * n // frames for n in range(frames + 1)):
            row = _BLACK * left + _WHITE * (right - left) + _BLACK * (width - right)
            frame = av.VideoFrame.from_bytes(row * height, width, height)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return buffer.getvalue()
