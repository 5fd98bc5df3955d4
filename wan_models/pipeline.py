"""What every pipeline promises, whatever it is built on. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wan_models.checkpoints import Checkpoints
from wan_models.options import PipelineOptions
from wan_models.request import VideoRequest

OnStep = Callable[[int, int], None]
"""Called after each denoising step with its number, from 1, and the count of steps. It may raise to stop."""

OnPreview = Callable[[int, bytes], None]
"""Given the number of a step and a JPEG of what the video looks like after it. It does not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a pipeline is given beside the request, for one run.

    ``inputs`` are local files by the names that the request gives its inputs, such as ``image``.
    ``checkpoints`` say whether and where to save the state of the denoising, and where to go on from.
    ``on_preview`` gets a picture every few steps; without it none is taken.
    """

    on_step: OnStep
    inputs: Mapping[str, Path] = field(default_factory=dict)
    checkpoints: Checkpoints | None = None
    on_preview: OnPreview | None = None


@dataclass(frozen=True, slots=True)
class EncodedVideo:
    """A video that is an MP4 already; ``shape`` is that of its frames, (frames, height, width, 3)."""

    content: bytes
    shape: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class GeneratedVideo:
    """What a pipeline made.

    ``frames`` is a uint8 tensor on the CPU, [frames, height, width, 3], 0 to 255, or an ``EncodedVideo``.
    ``metrics`` holds
    seconds by name (``denoise_seconds`` with the text encoding, ``decode_seconds``, ``seconds_per_step``),
    ``resumed_step``, the last step that an earlier attempt took, ``peak_memory_mb`` of the GPU, None on a
    CPU, ``memory_plan``, and ``acceleration``, a mapping of what was in effect. The seconds are those of
    this attempt. ``audio`` is what is heard with it, a ``Sound`` of ``wan_models.pipelines.sound``, None for
    a silent video.
    """

    frames: Any
    metrics: Mapping[str, Any]
    audio: Any = None


class Pipeline(Protocol):
    """A loaded model that turns requests into videos, one at a time."""

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video. The same request on the same kind of device gives the same bytes.

        An exception that ``run.on_step`` raises passes through, and the pipeline stays usable.

        Raises:
            GenerationError: the model broke on this request; the subclass may say that it was the device.
        """
        ...


class PipelineLoader(Protocol):
    """What the catalog's ``module:Class`` names: a pipeline class that loads from a folder."""

    def __call__(self, path: Path, options: PipelineOptions) -> Pipeline:
        """Load the model in a folder onto this process's device.

        Raises:
            GenerationError: the device has too little memory, or failed.
        """
        ...
