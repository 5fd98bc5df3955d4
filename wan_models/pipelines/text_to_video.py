"""Text to video on diffusers' WanPipeline, in both shapes: two experts (A14B) and one transformer (5B)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline

from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.pipeline import GeneratedVideo, OnStep
from wan_models.request import VideoRequest


class TextToVideoPipeline:
    """A WanPipeline on this process's device: the first visible GPU in bfloat16, or the CPU in float32."""

    def __init__(self, path: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        default = torch.bfloat16 if self._device.type == "cuda" else torch.float32
        # The VAE is unstable below float32, so it is never rounded.
        precision = {"vae": torch.float32, "default": default}
        self._pipe = WanPipeline.from_pretrained(path, dtype=precision, local_files_only=True)
        self._pipe.to(self._device)
        self._pipe.set_progress_bar_config(disable=True)

    def generate(self, request: VideoRequest, on_step: OnStep) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol."""
        self._set_shift(request.sample_shift)
        clock = _StepClock(request.sample_steps, on_step)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        try:
            with torch.inference_mode():
                frames = self._pipe(**self._arguments(request), callback_on_step_end=clock).frames[0]
                pixels = _to_uint8(frames)
        except GenerationStoppedError:
            raise
        except (RuntimeError, ValueError) as error:
            raise GenerationError(f"The model broke: {error}") from error
        finally:
            # Offloading and caching hooks keep state of a run that was cut short.
            self._pipe.maybe_free_model_hooks()
        return GeneratedVideo(pixels, clock.metrics() | {"peak_memory_mb": self._peak_memory_mb()})

    def _arguments(self, request: VideoRequest) -> dict[str, Any]:
        guidance = request.sample_guide_scale
        return {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "width": request.width,
            "height": request.height,
            "num_frames": request.frame_num,
            "num_inference_steps": request.sample_steps,
            # Wan writes its pair (low, high); diffusers calls the high-noise expert's the first.
            "guidance_scale": guidance.high,
            "guidance_scale_2": guidance.low if self._pipe.config.boundary_ratio is not None else None,
            # On the CPU, so that a seed means the same on every kind of GPU.
            "generator": torch.Generator("cpu").manual_seed(request.base_seed),
            "output_type": "pt",
            "max_sequence_length": 512,
        }

    def _set_shift(self, shift: float) -> None:
        """A fresh scheduler for each run, with the request's shift and no state of the last run."""
        scheduler = self._pipe.scheduler
        self._pipe.scheduler = type(scheduler).from_config(scheduler.config, flow_shift=shift)

    def _peak_memory_mb(self) -> float | None:
        if self._device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(self._device) / 1e6


class _StepClock:
    """diffusers' step callback: passes the step on, and measures."""

    def __init__(self, steps: int, on_step: OnStep) -> None:
        self._steps = steps
        self._on_step = on_step
        self._started = time.perf_counter()
        self._first = self._last = self._started

    def __call__(self, _pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self._last = time.perf_counter()
        if index == 0:
            self._first = self._last
        self._on_step(index + 1, self._steps)
        return tensors

    def metrics(self) -> dict[str, float | None]:
        """Seconds; the pace leaves the first step out where it can, since that one waits for warm-up."""
        denoise = self._last - self._started
        pace = (self._last - self._first) / (self._steps - 1) if self._steps > 1 else denoise
        return {
            "denoise_seconds": denoise,
            "decode_seconds": time.perf_counter() - self._last,
            "seconds_per_step": pace,
        }


def _to_uint8(frames: torch.Tensor) -> torch.Tensor:
    """[frames, 3, height, width] in 0 to 1, on any device, to [frames, height, width, 3] uint8 on the CPU."""
    pixels = frames.mul(255).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu()
