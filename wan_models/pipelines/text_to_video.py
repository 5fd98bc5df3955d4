"""Text to video on diffusers' WanPipeline, in both shapes: two experts (A14B) and one transformer (5B)."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline

from wan_models.errors import GenerationError
from wan_models.pipeline import GeneratedVideo, OnStep, Run
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

    def generate(self, request: VideoRequest, run: Run) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol."""
        self._prepare(request)
        clock = _StepClock(request.sample_steps, run.on_step)
        try:
            with torch.inference_mode():
                frames = self._pipe(**_arguments(request), callback_on_step_end=clock).frames[0]
                pixels = _to_uint8(frames)
        except (RuntimeError, ValueError) as error:
            if clock.stopped:
                raise
            raise GenerationError(f"The model broke: {error}") from error
        finally:
            # Offloading and caching hooks keep state of a run that was cut short.
            self._pipe.maybe_free_model_hooks()
        return GeneratedVideo(pixels, clock.metrics() | {"peak_memory_mb": self._peak_memory_mb()})

    def _prepare(self, request: VideoRequest) -> None:
        """Set what diffusers takes from the pipeline instead of from the call, afresh for every run."""
        scheduler = self._pipe.scheduler
        self._pipe.scheduler = type(scheduler).from_config(scheduler.config, flow_shift=request.sample_shift)
        self._pipe.register_to_config(boundary_ratio=request.boundary)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak_memory_mb(self) -> float | None:
        if self._device.type != "cuda":
            return None
        return torch.cuda.max_memory_allocated(self._device) / 1e6


def _arguments(request: VideoRequest) -> dict[str, Any]:
    guidance = request.sample_guide_scale
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "width": request.width,
        "height": request.height,
        "num_frames": request.frame_num,
        "num_inference_steps": request.sample_steps,
        # Wan writes its pair (low, high); diffusers calls the high-noise expert's the first, and lets
        # that one alone decide, by being above 1, whether either expert is guided.
        "guidance_scale": max(guidance.high, math.nextafter(1, 2)) if guidance.low > 1 else guidance.high,
        "guidance_scale_2": None if request.boundary is None else guidance.low,
        # On the CPU, so that a seed means the same noise on every kind of GPU.
        "generator": torch.Generator("cpu").manual_seed(request.base_seed),
        "output_type": "pt",
        "max_sequence_length": 512,
    }


class _StepClock:
    """diffusers' step callback: passes the step on, and measures.

    ``stopped`` tells an exception of ``on_step`` from a fault of the model. The exception itself is not
    kept: its traceback would keep the tensors of the run.
    """

    def __init__(self, steps: int, on_step: OnStep) -> None:
        self._steps = steps
        self._on_step = on_step
        self._started = time.perf_counter()
        self._first = self._last = self._started
        self.stopped = False

    def __call__(self, _pipe: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if tensors["latents"].is_cuda:
            torch.cuda.synchronize()  # the GPU runs behind Python: a step counts when it is done
        self._last = time.perf_counter()
        if index == 0:
            self._first = self._last
        self.stopped = True
        self._on_step(index + 1, self._steps)
        self.stopped = False
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
    pixels = frames.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu()
