"""MP4 files: H.264, 4:2:0, BT.709, with the index in front so that a browser can start at once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import torch
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from wan_models.pipeline import EncodedVideo
from wan_models.pipelines.sound import Sound

_AUDIO_BITS_A_CHANNEL = 96_000
# x264's output depends on its number of threads; a fixed one gives the same bytes on every machine. With
# its macroblock tree the same frames give now these bytes, now others, even on one thread.
_ENCODER_OPTIONS = {"crf": "18", "preset": "veryfast", "threads": "4", "x264-params": "mbtree=0"}


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video file says of itself: sizes in pixels, counted frames, frames a second.

    ``audio_seconds`` is how long its sound lasts, None where it has none.
    """

    width: int
    height: int
    frames: int
    fps: float
    codec: str
    pixel_format: str
    audio_codec: str | None = None
    audio_seconds: float | None = None


def encode_mp4(frames: torch.Tensor, path: Path, fps: int, audio: Sound | None = None) -> None:
    """Write a video, with sound in AAC where it has some.

    Args:
        frames: uint8 on the CPU, [frames, height, width, 3], red first.
        path: the file to write.
        fps: frames a second.
        audio: what is heard, from the first frame on; what is longer than the video is left out.

    Raises:
        ValueError: other numbers than bytes, another shape, or an odd side, which 4:2:0 cannot hold.
    """
    count, height, width = _dimensions(frames)
    with av.open(path, "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options=_ENCODER_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        _tag_colors(stream.codec_context)
        track = _SoundTrack(container, audio, fps) if audio else None
        for index in range(count):
            container.mux(stream.encode(_yuv(frames[index])))
            if track:
                track.write(index)
        container.mux(stream.encode())
        if track:
            track.end()


def write_mp4(frames: torch.Tensor | EncodedVideo, path: Path, fps: int, audio: Sound | None = None) -> None:
    """Write a video, as it is where it is encoded already; see ``encode_mp4``."""
    if isinstance(frames, EncodedVideo):
        path.write_bytes(frames.content)
    else:
        encode_mp4(frames, path, fps, audio)


def probe_mp4(path: Path) -> VideoInfo:
    """Read a video back, decoding every frame of it.

    Raises:
        av.error.FFmpegError: the file is no video.
    """
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        sound = next(iter(container.streams.audio), None)
        context = stream.codec_context
        return VideoInfo(
            width=context.width,
            height=context.height,
            frames=frames,
            fps=float(stream.average_rate or 0),
            codec=context.name,
            pixel_format=context.pix_fmt or "",
            audio_codec=sound.codec_context.name if sound else None,
            audio_seconds=float((sound.duration or 0) * (sound.time_base or 0)) if sound else None,
        )


class _SoundTrack:
    """The sound of a video, written along with its frames, so that a player finds both side by side."""

    def __init__(self, container: OutputContainer, audio: Sound, fps: int) -> None:
        channels = len(audio.samples)
        self._layout = "mono" if channels == 1 else "stereo"
        self._stream = container.add_stream("aac", rate=audio.rate, layout=self._layout)
        self._stream.bit_rate = _AUDIO_BITS_A_CHANNEL * channels
        self._container = container
        self._audio = audio
        self._fps = fps

    def write(self, index: int) -> None:
        """Write what is heard while one video frame is seen."""
        start, end = (round(number * self._audio.rate / self._fps) for number in (index, index + 1))
        samples = self._audio.samples[:, start:end]
        if samples.shape[1]:
            frame = av.AudioFrame.from_ndarray(samples.contiguous().numpy(), "fltp", self._layout)
            frame.sample_rate, frame.pts, frame.time_base = (
                self._audio.rate,
                start,
                Fraction(1, self._audio.rate),
            )
            self._container.mux(self._stream.encode(frame))

    def end(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode())


def _tag_colors(context: VideoCodecContext) -> None:
    """Say that the colours are BT.709; players guess for an untagged file, by its height."""
    context.colorspace = Colorspace.ITU709
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709


def _yuv(pixels: torch.Tensor) -> av.VideoFrame:
    """Convert by the tags above; left to itself, FFmpeg converts by BT.601."""
    frame = av.VideoFrame.from_ndarray(pixels.numpy(), format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def _dimensions(frames: torch.Tensor) -> tuple[int, int, int]:
    if frames.dtype is not torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:  # noqa: PLR2004 - the layout
        raise ValueError(
            f"Frames must be uint8 [frames, height, width, 3], not {frames.dtype} {list(frames.shape)}."
        )
    count, height, width, _ = frames.shape
    if count == 0 or height % 2 or width % 2:
        raise ValueError(f"H.264 in 4:2:0 needs frames with even sides, not {count} of {width}*{height}.")
    return count, height, width
