"""What diffusers' pipelines are called with, and where it differs from what Wan calls it."""

from __future__ import annotations

import math
from typing import Any

import torch

from wan_models.request import VideoRequest


def text_arguments(request: VideoRequest) -> dict[str, Any]:
    """What every pipeline is called with: the texts, the size, the steps, the seed."""
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "num_inference_steps": request.sample_steps,
        # On the CPU, so that a seed means the same noise on every kind of GPU.
        "generator": torch.Generator("cpu").manual_seed(request.base_seed),
        "max_sequence_length": 512,
    }


def guidance_arguments(request: VideoRequest) -> dict[str, Any]:
    """The guidance of a pipeline that may have two experts.

    Wan writes its pair (low, high); diffusers calls the high-noise expert's the first, and lets that one
    alone decide, by being above 1, whether either expert is guided.
    """
    guidance = request.sample_guide_scale
    return {
        "guidance_scale": max(guidance.high, math.nextafter(1, 2)) if guidance.low > 1 else guidance.high,
        "guidance_scale_2": None if request.boundary is None else guidance.low,
    }
