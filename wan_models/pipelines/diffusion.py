"""What the tasks on diffusers' pipelines share: loading, the settings of one run, its steps, its faults."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch

from wan_models.pipeline import GeneratedVideo, OnStep, Run
from wan_models.pipelines.faults import fault_of
from wan_models.pipelines.resumable import ResumableScheduler, resumable
from wan_models.request import VideoRequest


def load_pipe(pipe_class: Any, path: Path, *, offload: bool = False) -> Any:
    """Load a diffusers folder onto the first visible GPU in bfloat16, or onto the CPU in float32.

    Args:
        pipe_class: the class of diffusers' pipeline to make of it.
        path: the folder.
        offload: keep each component on the GPU only while it works.

    Raises:
        GenerationError: the device has too little memory, or failed, or cannot hold what the folder has.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    default = torch.bfloat16 if device.type == "cuda" else torch.float32
    # The VAE is unstable below float32, so it is never rounded.
    precision = {"vae": torch.float32, "default": default}
    try:
        pipe = pipe_class.from_pretrained(path, dtype=precision, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        if not offload or device.type == "cpu":
            return pipe.to(device)
        pipe.enable_model_cpu_offload(device=device)
    except RuntimeError as error:
        raise fault_of(error) from error
    return pipe


def generate_video(
    pipe: Any, request: VideoRequest, run: Run, arguments: dict[str, Any], *, segments: int = 1
) -> GeneratedVideo:
    """Make one video with a diffusers pipeline; see the Pipeline protocol.

    Args:
        pipe: the loaded pipeline.
        request: what to make.
        run: this run's callbacks.
        arguments: what the pipeline is called with, beside what is the same for all.
        segments: how often the pipeline goes through all its steps for one video.
    """
    _prepare(pipe, request)
    with resumable(pipe, run.checkpoints) as scheduler:
        clock = _StepClock(request.sample_steps * segments, run.on_step, scheduler)
        pixels = _call(pipe, arguments, clock)
    return GeneratedVideo(pixels, clock.metrics() | {"peak_memory_mb": _peak_memory_mb(pipe.device)})


def _call(pipe: Any, arguments: dict[str, Any], clock: _StepClock) -> torch.Tensor:
    try:
        with torch.inference_mode():
            frames = pipe(**arguments, output_type="pt", callback_on_step_end=clock).frames[0]
            return frames if frames.dtype is torch.uint8 else _to_uint8(frames)
    except (RuntimeError, ValueError) as error:
        if clock.stopped:
            raise
        raise fault_of(error) from error
    finally:
        # Offloading and caching hooks keep state of a run that was cut short.
        pipe.maybe_free_model_hooks()


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


def _prepare(pipe: Any, request: VideoRequest) -> None:
    """Set what diffusers takes from the pipeline instead of from the call, afresh for every run."""
    scheduler = pipe.scheduler
    pipe.scheduler = type(scheduler).from_config(scheduler.config, flow_shift=request.sample_shift)
    if "boundary_ratio" in pipe.config:
        pipe.register_to_config(boundary_ratio=request.boundary)
    if pipe.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(pipe.device)


def _peak_memory_mb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None


class _StepClock:
    """diffusers' step callback: has the state saved when that is due, passes the step on, and measures.

    ``stopped`` tells an exception of ``on_step`` from a fault of the model. The exception itself is not
    kept: its traceback would keep the tensors of the run.
    """

    def __init__(self, steps: int, on_step: OnStep, scheduler: ResumableScheduler) -> None:
        self._steps = steps
        self._on_step = on_step
        self._scheduler = scheduler
        self._started = time.perf_counter()
        self._first = self._last = self._started
        self._taken = 0
        self.stopped = False

    def __call__(self, _pipe: Any, _index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if tensors["latents"].is_cuda:
            torch.cuda.synchronize()  # the GPU runs behind Python: a step counts when it is done
        self._last = time.perf_counter()
        self._taken += 1
        if self._taken == 1:
            self._first = self._last
        # Not the index: that starts anew in each segment, and where a run goes on.
        number = self._scheduler.after_step(tensors["latents"])
        self.stopped = True
        self._on_step(number, self._steps)
        self.stopped = False
        return tensors

    def metrics(self) -> dict[str, float | None]:
        """Seconds; the pace leaves the first step out where it can, since that one waits for warm-up."""
        denoise = self._last - self._started
        pace = (self._last - self._first) / (self._taken - 1) if self._taken > 1 else denoise
        return {
            "denoise_seconds": denoise,
            "decode_seconds": time.perf_counter() - self._last,
            "seconds_per_step": pace,
            "resumed_step": self._scheduler.resumed_step,
        }


def _to_uint8(frames: torch.Tensor) -> torch.Tensor:
    """[frames, 3, height, width] in 0 to 1, on any device, to [frames, height, width, 3] uint8 on the CPU."""
    pixels = frames.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu()
