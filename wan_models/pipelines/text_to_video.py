"""Text to video on diffusers' WanPipeline, in both shapes: two experts (A14B) and one transformer (5B)."""

from __future__ import annotations

from pathlib import Path

from diffusers import WanPipeline

from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.request import VideoRequest


class TextToVideoPipeline:
    """A WanPipeline on this process's device."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self._engine = Engine(WanPipeline, path, options)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol."""
        frames = {"num_frames": request.frame_num}
        arguments = text_arguments(request) | guidance_arguments(request) | frames
        return self._engine.generate(request, run, arguments)
