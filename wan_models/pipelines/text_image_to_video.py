"""The 5B model: WanPipeline from text alone, WanImageToVideoPipeline with an image, on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from diffusers import WanImageToVideoPipeline, WanPipeline

from wan_models.errors import UnusableInputError
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.diffusion import generate_video, guidance_arguments, load_pipe, text_arguments
from wan_models.pipelines.image_to_video import image_arguments
from wan_models.request import VideoRequest


class TextImageToVideoPipeline:
    """Both pipelines of the 5B model on this process's device; each input decides by being there or not."""

    def __init__(self, path: Path, *, offload: bool = False) -> None:
        self._from_text = load_pipe(WanPipeline, path, offload=offload)
        components = self._from_text.components
        self._from_image = cast("Any", WanImageToVideoPipeline(**components, expand_timesteps=True))
        self._from_image.set_progress_bar_config(disable=True)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video, from the first frame ``image`` where it is given; see the Pipeline protocol."""
        if "last_image" in run.inputs:
            raise UnusableInputError("last_image", "this model takes a first frame only.")
        if "image" in run.inputs:
            return generate_video(self._from_image, request, run, image_arguments(request, run))
        frames = {"num_frames": request.frame_num}
        arguments = text_arguments(request) | guidance_arguments(request) | frames
        return generate_video(self._from_text, request, run, arguments)
