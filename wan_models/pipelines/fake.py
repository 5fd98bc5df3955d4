"""A pipeline without a model: it takes the steps it is asked for and paints noise from the seed."""

from __future__ import annotations

from pathlib import Path

import torch

from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.request import VideoRequest


class FakePipeline:
    """Stands in for a model where the path around it is what matters, in tests above all."""

    def __init__(self, path: Path, options: PipelineOptions) -> None:
        self.path = path
        self.options = options

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol."""
        for step in range(1, request.sample_steps + 1):
            run.on_step(step, request.sample_steps)
        shape = (request.frame_num, request.height, request.width, 3)
        generator = torch.Generator("cpu").manual_seed(request.base_seed)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        metrics = dict.fromkeys(
            ("denoise_seconds", "decode_seconds", "seconds_per_step", "resumed_step"), 0.0
        )
        return GeneratedVideo(
            frames,
            metrics | {"peak_memory_mb": None, "memory_plan": self.options.plan.value, "acceleration": {}},
        )
