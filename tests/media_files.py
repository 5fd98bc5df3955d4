"""Small input files, made as they are needed: pictures, sounds, videos, archives."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import av
from PIL import Image


def picture(width: int = 96, height: int = 64, *, mode: str = "RGB", **save: Any) -> bytes:
    """A picture of one colour, as a PNG unless ``format`` says otherwise."""
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, **{"format": "PNG"} | save)
    return buffer.getvalue()


def sound(seconds: float = 1.0, *, rate: int = 16_000, container: str = "wav") -> bytes:
    """A tone of 440 Hz, in one channel."""
    codecs = {"wav": "pcm_s16le", "mp3": "mp3", "flac": "flac", "ogg": "libopus", "ipod": "aac"}
    if container == "ogg":
        rate = 48_000
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codecs[container], rate=rate, layout="mono")
        count = int(seconds * rate)
        tone = [int(8000 * math.sin(math.tau * 440 * index / rate)) for index in range(count)]
        frame = av.AudioFrame("s16", "mono", count, 1)
        frame.planes[0].update(struct.pack(f"<{count}h", *tone))
        frame.rate = rate
        assert isinstance(stream, av.AudioStream)
        for packet in (*stream.encode(frame), *stream.encode()):
            file.mux(packet)
    return buffer.getvalue()


def video(frames: int = 9, width: int = 96, height: int = 64, *, rate: int = 30) -> bytes:
    """Grey frames without sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        stream = file.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            frame = av.VideoFrame.from_image(Image.new("RGB", (width, height), (index % 256,) * 3))
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return buffer.getvalue()


def animation(frames: int = 9, *, replace: bool = False, **changes: bytes | None) -> dict[str, bytes]:
    """The files of an animation, by name. A change, by a name without suffix, puts one in; None drops it."""
    members: dict[str, bytes | None] = {
        "src_pose.mp4": video(frames),
        "src_face.mp4": video(frames, 64, 64),
        "src_ref.png": picture(),
    }
    if replace:
        members |= {"src_bg.mp4": video(frames), "src_mask.mp4": video(frames)}
    for name, content in changes.items():
        members[f"{name}.{'png' if name == 'src_ref' else 'mp4'}"] = content
    return {name: content for name, content in members.items() if content is not None}


def archive(members: Mapping[str, bytes], *, folder: str = "") -> bytes:
    """A .zip of these files."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(folder + name, content)
    return buffer.getvalue()


def written(folder: Path, members: Mapping[str, bytes]) -> Path:
    """These files in a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members.items():
        (folder / name).write_bytes(content)
    return folder
