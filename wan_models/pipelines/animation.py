"""Character animation and replacement on diffusers' WanAnimatePipeline, segment after segment."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

from diffusers import WanAnimatePipeline

from wan_models.catalog import MAX_ANIMATION_FRAMES, Size
from wan_models.errors import UnusableInputError
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.arguments import text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.footage import Footage, read_footage
from wan_models.pipelines.picture import contain, open_picture
from wan_models.request import VideoRequest


class AnimationPipeline:
    """A WanAnimatePipeline on this process's device.

    It takes the files that Wan's preprocessing makes: ``pose`` and ``face`` videos and the character
    ``ref``; to put it into a video also that video, ``bg``, and a ``mask`` that is white where it goes.
    """

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self._engine = Engine(WanAnimatePipeline, path, options)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video, as long as the pose video; see the Pipeline protocol."""
        overlap = request.refert_num or 1
        size = Size(request.width, request.height)
        pose = self._read(run, "pose", size, request)
        if len(pose.frames) <= overlap:
            raise UnusableInputError("pose", f"it needs more than the {overlap} frames of refert_num.")
        arguments = {
            **text_arguments(request),
            "image": contain(open_picture(run.inputs, "ref"), size),
            "pose_video": pose.frames,
            "face_video": self._read(run, "face", self._face_size(), request).frames,
            **(self._scene(run, size, request, pose) if request.replace_flag else {"mode": "animate"}),
            "segment_frame_length": request.frame_num,
            "prev_segment_conditioning_frames": overlap,
            "guidance_scale": request.sample_guide_scale.high,
        }
        segments = ceil((len(pose.frames) - overlap) / (request.frame_num - overlap))
        return self._engine.generate(request, run, arguments, segments=segments)

    def _scene(self, run: Run, size: Size, request: VideoRequest, pose: Footage) -> dict[str, Any]:
        """Where the character goes. Both videos lie over the pose video, pixel by pixel."""
        scene = {name: self._read(run, name, size, request) for name in ("bg", "mask")}
        for name, footage in scene.items():
            if footage.native != pose.native:
                raise UnusableInputError(
                    name, f"its frames are {footage.native}, and those of the pose video {pose.native}."
                )
        frames = {"background_video": scene["bg"].frames, "mask_video": scene["mask"].frames}
        return {"mode": "replace", **frames}

    def _face_size(self) -> Size:
        side = self._engine.pipe.transformer.config.motion_encoder_size
        return Size(side, side)

    def _read(self, run: Run, name: str, size: Size, request: VideoRequest) -> Footage:
        return read_footage(run.inputs, name, size, request.fps, MAX_ANIMATION_FRAMES)
