"""Image to video on diffusers' WanImageToVideoPipeline: two experts, a first frame and perhaps a last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import WanImageToVideoPipeline

from wan_models.catalog import Size
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.picture import cover, open_picture
from wan_models.request import VideoRequest


class ImageToVideoPipeline:
    """A WanImageToVideoPipeline on this process's device."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self._engine = Engine(WanImageToVideoPipeline, path, options)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video that begins with ``image``, and ends with ``last_image`` if there is one."""
        return self._engine.generate(request, run, image_arguments(request, run))


def image_arguments(request: VideoRequest, run: Run) -> dict[str, Any]:
    """What a WanImageToVideoPipeline is called with: its pictures fill the frame exactly.

    Raises:
        UnusableInputError: a picture is missing or cannot be read.
    """
    size = Size(request.width, request.height)
    last = cover(open_picture(run.inputs, "last_image"), size) if "last_image" in run.inputs else None
    return {
        **text_arguments(request),
        **guidance_arguments(request),
        "num_frames": request.frame_num,
        "image": cover(open_picture(run.inputs, "image"), size),
        "last_image": last,
    }
