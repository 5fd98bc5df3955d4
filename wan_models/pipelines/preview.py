"""Pictures of a video that is still noise, cheap enough for every few steps: no decoding.

Wan's VAE makes one latent vector of each block of 8*8 or 16*16 pixels, and much of that vector is simply
the block's colour. So a linear map from vector to colour gives a small, blurred picture of what is to come.
The map is fitted, by least squares, to the very VAE that will decode the video: it encodes some smooth
fields of colour, and what it makes of them is compared with what they were. That takes one small encoding
for each run that asks for pictures, and works for every VAE.
"""

from __future__ import annotations

import io
import logging
from typing import Any

import torch
from PIL import Image

from telemetry.owners import for_owner
from wan_models.pipeline import OnPreview, Run

PICTURES = 10
"""How many pictures there are of a run, at most."""

_LONGEST_SIDE = 256  # pixels of a picture
_QUALITY = 75
_FIELDS, _SIDE, _PATCHES = (
    12,
    128,
    4,
)  # colour fields to fit by: how many, how large, of how many patches a side

_log = logging.getLogger(__name__)


class Preview:
    """Takes pictures of one run.

    Args:
        colors: see ``fit_colors``.
        steps: of the whole run.
        take: gets each picture.
    """

    def __init__(self, colors: torch.Tensor, steps: int, take: OnPreview) -> None:
        self._colors = colors
        self._every = max(1, round(steps / PICTURES))
        self._take = take

    def after_step(self, step: int, scheduler: Any, latents: torch.Tensor) -> None:
        """Take a picture, if one is due after this step (from 1).

        Args:
            step: the number of the step that was taken.
            scheduler: whose step it was.
            latents: what it returned, [1, channels, frames, height, width].
        """
        if step % self._every:
            return
        try:
            self._take(step, jpeg(paint(_expected(scheduler, latents), self._colors)))
        except RuntimeError as error:
            _log.warning("There is no picture of step %d: %s", step, error)


def preview_of(pipe: Any, run: Run, steps: int, device: torch.device) -> Preview | None:
    """What takes the pictures of a run, if it wants any. Call it before the run: it uses the VAE.

    Args:
        pipe: the pipeline that is to run.
        run: what is wanted.
        steps: of the whole run.
        device: where the pipeline computes.
    """
    if run.on_preview is None:
        return None
    try:
        colors = fit_colors(pipe.vae, device)
        pipe.maybe_free_model_hooks()  # an offloaded VAE would stay on the device
        return Preview(colors, steps, run.on_preview)
    except RuntimeError as error:
        told = for_owner("There will be no pictures of the unfinished video")
        _log.warning("There will be no pictures: %s", error, extra=told)
        return None


@torch.inference_mode()
def fit_colors(vae: Any, device: torch.device) -> torch.Tensor:
    """The affine map from a latent vector, as a denoising loop holds it, to its block's colour in -1 to 1.

    Returns:
        [channels + 1, 3] on the CPU; the last row is the constant.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    patches = torch.rand((_FIELDS, 3, _PATCHES, _PATCHES), generator=generator) * 2 - 1
    fields = torch.nn.functional.interpolate(patches, size=(_SIDE, _SIDE), mode="bicubic").clamp(-1, 1)
    frames = fields.unsqueeze(2).to(device, vae.dtype)
    vectors = torch.cat([_normalised(vae, frame) for frame in frames.split(1)]).squeeze(2).float().cpu()
    height, width = vectors.shape[-2:]
    blocks = torch.nn.functional.adaptive_avg_pool2d(fields, (height, width))
    known = _with_constant(vectors.movedim(1, -1).flatten(0, -2))
    colors: torch.Tensor = torch.linalg.lstsq(
        known, blocks.movedim(1, -1).flatten(0, -2), driver="gelsd"
    ).solution
    return colors


def paint(latents: torch.Tensor, colors: torch.Tensor) -> torch.Tensor:
    """The middle frame of latents [1, channels, frames, height, width] as uint8 [height, width, 3]."""
    middle = latents[0, :, latents.shape[2] // 2].float().cpu().movedim(0, -1)
    return ((_with_constant(middle) @ colors).clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)


def jpeg(pixels: torch.Tensor) -> bytes:
    """A small JPEG of uint8 [height, width, 3]."""
    picture = Image.fromarray(pixels.numpy())
    scale = _LONGEST_SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _expected(scheduler: Any, latents: torch.Tensor) -> torch.Tensor:
    """The latents that the model expects at the end, where the scheduler keeps them (as UniPC does)."""
    outputs = getattr(scheduler, "model_outputs", None) or [None]
    newest = outputs[-1]
    return newest if newest is not None and newest.shape == latents.shape else latents


def _normalised(vae: Any, frame: torch.Tensor) -> torch.Tensor:
    """One frame [1, 3, 1, height, width] encoded, and scaled as the denoising loop has it."""
    vector = vae.encode(frame).latent_dist.mode()
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(vae.config.latents_mean).view(shape).to(vector)
    deviation = torch.tensor(vae.config.latents_std).view(shape).to(vector)
    normalised: torch.Tensor = (vector - mean) / deviation
    return normalised


def _with_constant(vectors: torch.Tensor) -> torch.Tensor:
    return torch.cat([vectors, torch.ones_like(vectors[..., :1])], dim=-1)
