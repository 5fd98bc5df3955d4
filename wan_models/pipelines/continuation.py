"""A video that goes on where another one ends, as one video."""

from __future__ import annotations

import numpy as np
import torch

from wan_models.catalog import Size
from wan_models.pipeline import Run
from wan_models.pipelines.footage import read_beginning
from wan_models.request import VideoRequest

_MAX_FRAMES = 4000
VIDEO = "video"
"""The input that the new video begins with."""


def with_beginning(pixels: torch.Tensor, request: VideoRequest, run: Run) -> torch.Tensor:
    """Put the input ``video``, if there is one, in front of what was made from its last frame.

    Args:
        pixels: uint8 [frames, height, width, 3]; the first frame shows what the video ends with.
        request: its size and pace hold for both.
        run: the input files.
    """
    if VIDEO not in run.inputs:
        return pixels
    size = Size(request.width, request.height)
    pictures = read_beginning(run.inputs, VIDEO, size, request.fps, _MAX_FRAMES)
    before = torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))
    return torch.cat([before, pixels[1:]])
