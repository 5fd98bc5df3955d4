"""Text to video on diffusers' WanPipeline, in both shapes: two experts (A14B) and one transformer (5B)."""

from __future__ import annotations

from pathlib import Path

from diffusers import WanPipeline

from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.diffusion import generate_video, guidance_arguments, load_pipe, text_arguments
from wan_models.request import VideoRequest


class TextToVideoPipeline:
    """A WanPipeline on this process's device."""

    def __init__(self, path: Path, *, offload: bool = False) -> None:
        self._pipe = load_pipe(WanPipeline, path, offload=offload)

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol."""
        frames = {"num_frames": request.frame_num}
        arguments = text_arguments(request) | guidance_arguments(request) | frames
        return generate_video(self._pipe, request, run, arguments)
