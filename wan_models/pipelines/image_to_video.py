"""Image to video on diffusers' WanImageToVideoPipeline: two experts, a first frame and perhaps a last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import WanImageToVideoPipeline

from wan_models.catalog import Size
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.diffusion import generate_video, guidance_arguments, load_pipe, text_arguments
from wan_models.pipelines.picture import cover, open_picture
from wan_models.request import VideoRequest


class ImageToVideoPipeline:
    """A WanImageToVideoPipeline on this process's device."""

    def __init__(self, path: Path, *, offload: bool = False) -> None:
        self._pipe = load_pipe(WanImageToVideoPipeline, path, offload=offload)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video that begins with ``image``, and ends with ``last_image`` if there is one."""
        return generate_video(self._pipe, request, run, image_arguments(request, run))


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
