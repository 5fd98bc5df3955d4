"""The 5B model: WanPipeline from text alone, WanImageToVideoPipeline with an image, on the same weights."""

from __future__ import annotations

from pathlib import Path

from diffusers import WanImageToVideoPipeline, WanPipeline

from wan_models.errors import UnusableInputError
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.image_to_video import image_arguments
from wan_models.request import VideoRequest


class TextImageToVideoPipeline:
    """Both pipelines of the 5B model on this process's device; each input decides by being there or not."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self._from_text = Engine(WanPipeline, path, options)
        components = self._from_text.pipe.components
        self._from_image = self._from_text.sharing(
            WanImageToVideoPipeline(**components, expand_timesteps=True)
        )

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video, from the first frame ``image`` where it is given; see the Pipeline protocol."""
        if "last_image" in run.inputs:
            raise UnusableInputError("last_image", "this model takes a first frame only.")
        if "image" in run.inputs:
            return self._from_image.generate(request, run, image_arguments(request, run))
        frames = {"num_frames": request.frame_num}
        arguments = text_arguments(request) | guidance_arguments(request) | frames
        return self._from_text.generate(request, run, arguments)
