"""Speech to video: a portrait that says what a sound says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wan_models.catalog import CATALOG, Size
from wan_models.errors import UnusableInputError
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.arguments import text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.footage import read_beginning
from wan_models.pipelines.picture import open_picture
from wan_models.pipelines.s2v.clips import count_clips, fitting_clip
from wan_models.pipelines.s2v.pipeline import WanSpeechToVideoPipeline
from wan_models.pipelines.s2v.speech_model import SAMPLE_RATE
from wan_models.pipelines.sound import Sound, read_sound
from wan_models.request import VideoRequest

_SHORTEST_SECONDS, _LONGEST_SECONDS = 0.3, 60.0  # of the speech


class SpeechToVideoPipeline:
    """A WanSpeechToVideoPipeline on this process's device."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self._engine = Engine(WanSpeechToVideoPipeline, path, options)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video of ``image`` speaking ``audio``, with the poses of ``pose`` if there is one.

        It ends with the speech, or after ``frame_num`` frames, whichever comes first.

        Raises:
            UnusableInputError: an input is missing or cannot be read, or the speech is too short or long.
        """
        sound = _sound(run.inputs)
        arguments = _arguments(request, run, _frames(request, sound))
        clips = count_clips(
            arguments["num_frames"], arguments["clip_frames"], start_from_image=arguments["start_from_image"]
        )
        video = self._engine.generate(request, run, arguments, segments=clips)
        return replace(video, audio=sound.first(arguments["num_frames"] / request.fps))


def _sound(inputs: Mapping[str, Path]) -> Sound:
    sound = read_sound(inputs, "audio", _LONGEST_SECONDS + 1)
    if sound.seconds < _SHORTEST_SECONDS:
        raise UnusableInputError(
            "audio", f"it lasts {sound.seconds:.2f} s; {_SHORTEST_SECONDS} s are needed."
        )
    if sound.seconds > _LONGEST_SECONDS:
        raise UnusableInputError("audio", f"it lasts longer than {_LONGEST_SECONDS:.0f} s.")
    return sound


def _frames(request: VideoRequest, sound: Sound) -> int:
    """As many frames as the speech lasts, rounded up to a count that the task makes."""
    rule = CATALOG[request.task].frames
    frames = max(ceil(sound.seconds * request.fps), rule.minimum)
    return min(request.frame_num, frames + (rule.offset - frames) % rule.step)


def _arguments(request: VideoRequest, run: Run, frames: int) -> dict[str, Any]:
    size = Size(request.width, request.height)
    start_from_image = bool(request.start_from_ref)
    return {
        **text_arguments(request),
        "image": open_picture(run.inputs, "image"),
        "audio": read_sound(run.inputs, "audio", _LONGEST_SECONDS, SAMPLE_RATE).samples.mean(dim=0),
        "poses": _poses(run.inputs, size, request.fps, frames),
        "num_frames": frames,
        "fps": request.fps,
        "clip_frames": fitting_clip(frames, request.infer_frames or 80, start_from_image=start_from_image),
        "guidance_scale": request.sample_guide_scale.low,
        "start_from_image": start_from_image,
    }


def _poses(inputs: Mapping[str, Path], size: Size, fps: int, frames: int) -> torch.Tensor | None:
    """uint8 [frames, height, width, 3] at the pace of the video, which they need not last as long as."""
    if "pose" not in inputs:
        return None
    pictures = read_beginning(inputs, "pose", size, fps, frames)
    return torch.from_numpy(np.stack([np.array(picture) for picture in pictures]))
