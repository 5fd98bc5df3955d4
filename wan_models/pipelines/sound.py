"""Sound from files of any format, as samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import torch

from wan_models.errors import UnusableInputError
from wan_models.pipelines.picture import input_path

_RATES = (44_100, 48_000)  # what a video's sound has; another rate is brought to the second


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples and their rate.

    ``samples`` is float32 on the CPU, [channels, samples], -1 to 1, of one channel or two; ``rate`` is in
    samples a second.
    """

    samples: torch.Tensor
    rate: int

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.samples.shape[1] / self.rate

    def first(self, seconds: float) -> Sound:
        """Its beginning; all of it, where it is not that long."""
        return Sound(self.samples[:, : round(seconds * self.rate)], self.rate)


def read_sound(inputs: Mapping[str, Path], name: str, seconds: float, rate: int | None = None) -> Sound:
    """Decode the first seconds of an input, in mono where it is mono and in stereo otherwise.

    Args:
        inputs: local files by their names.
        name: which one.
        seconds: how much of it is wanted at most.
        rate: samples a second; its own, or one that video players know, if None.

    Raises:
        UnusableInputError: it was not given, or is no sound.
    """
    path = input_path(inputs, name)
    try:
        with av.open(path) as container:
            stream = container.streams.audio[0]
            layout = "mono" if stream.channels == 1 else "stereo"
            rate = rate or (stream.rate if stream.rate in _RATES else _RATES[-1])
            resampler = av.AudioResampler("fltp", layout, rate)
            parts = list(_until(round(seconds * rate), _resampled(container.decode(stream), resampler)))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise UnusableInputError(name, f"it cannot be read as sound ({error}).") from error
    if not parts:
        raise UnusableInputError(name, "there is nothing to hear in it.")
    return Sound(torch.cat(parts, dim=1), rate).first(seconds)


def _resampled(frames: Iterator[av.AudioFrame], resampler: av.AudioResampler) -> Iterator[torch.Tensor]:
    for frame in chain(frames, [None]):  # None flushes the resampler
        if frame is not None:
            frame.pts = None  # the samples follow each other, whatever the file's timestamps say
        for part in resampler.resample(frame):
            yield torch.from_numpy(part.to_ndarray())


def _until(samples: int, parts: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    for part in parts:
        yield part
        samples -= part.shape[1]
        if samples <= 0:
            return
