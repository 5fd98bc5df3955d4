"""What the tasks on diffusers' pipelines share: loading, the settings of one run, its faults."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, Self

import torch

from telemetry.logs import share_logging
from wan_models.options import PipelineOptions
from wan_models.pipeline import GeneratedVideo, Run
from wan_models.pipelines.acceleration import Acceleration
from wan_models.pipelines.adapters import adapted
from wan_models.pipelines.continuation import with_beginning
from wan_models.pipelines.faults import fault_of
from wan_models.pipelines.memory import limit, own_device, own_dtype
from wan_models.pipelines.placement import place
from wan_models.pipelines.preview import preview_of
from wan_models.pipelines.prompt_cache import PromptCache
from wan_models.pipelines.resumable import resumable
from wan_models.pipelines.step_clock import StepClock
from wan_models.request import VideoRequest


class Engine:
    """A pipeline of diffusers on the first visible GPU in bfloat16, or on the CPU in float32.

    ``pipe`` is the pipeline. Engines made by ``sharing`` run other pipelines on the same components.

    Args:
        pipe_class: the class of the pipeline to make of a folder.
        path: the folder.
        options: how the deployment wants it.

    Raises:
        GenerationError: the device has too little memory, or failed, or cannot hold what the folder has.
    """

    def __init__(self, pipe_class: Any, path: Path, options: PipelineOptions) -> None:
        self._device = own_device()
        self._options = options
        limit(options.memory_limit)
        try:
            self.pipe = _load(pipe_class, path, options)
            self._acceleration = Acceleration(self.pipe, options, path)
            self._prompts = PromptCache.before(self.pipe.text_encoder, options.prompt_cache)
            place(self.pipe, self._device, options.plan)
        except RuntimeError as error:
            raise fault_of(error) from error

    def sharing(self, pipe: Any) -> Self:
        """An engine for another pipeline that was made of the components of this one."""
        pipe.set_progress_bar_config(disable=True)
        other = copy(self)
        other.pipe = pipe
        return other

    def generate(
        self, request: VideoRequest, run: Run, arguments: dict[str, Any], *, segments: int = 1
    ) -> GeneratedVideo:
        """Make one video; see the Pipeline protocol.

        Args:
            request: what to make.
            run: this run's callbacks.
            arguments: what the pipeline is called with, beside what is the same for all.
            segments: how often the pipeline goes through all its steps for one video.
        """
        pipe, hits = self.pipe, self._prompts.hits
        _prepare(pipe, request, self._device)
        acceleration = self._acceleration.begin(request, pipe.scheduler)
        # What a step cache remembers is not saved: without it, a resumed run would become another video.
        checkpoints = run.checkpoints if acceleration["step_cache"] == "none" else None
        with (
            adapted(pipe, request.task, request.loras, self._options.loras),
            resumable(pipe, checkpoints) as scheduler,
        ):
            steps = request.sample_steps * segments
            preview = preview_of(pipe, run, steps, self._device)
            clock = StepClock(steps, run.on_step, scheduler, preview)
            pixels = with_beginning(_call(pipe, arguments, clock), request, run)
        metrics = {
            **clock.metrics(),
            "peak_memory_mb": _peak_memory_mb(self._device),
            "memory_plan": self._options.plan.value,
            "acceleration": {**acceleration, "prompt_cache_hits": self._prompts.hits - hits},
        }
        return GeneratedVideo(pixels, metrics)


def _load(pipe_class: Any, path: Path, options: PipelineOptions) -> Any:
    # The VAE is unstable below float32, so it is never rounded.
    precision = {"vae": torch.float32, "default": own_dtype()}
    found = {name: options.shelf.get(digest) for name, digest in options.shared.items()}
    shared = {name: part for name, part in found.items() if part is not None}
    pipe = pipe_class.from_pretrained(path, dtype=precision, local_files_only=True, **shared)
    for name, digest in options.shared.items():
        options.shelf.put(digest, getattr(pipe, name))
    pipe.set_progress_bar_config(disable=True)
    share_logging("diffusers", "transformers")
    return pipe


def _prepare(pipe: Any, request: VideoRequest, device: torch.device) -> None:
    """Set what diffusers takes from the pipeline instead of from the call, afresh for every run."""
    scheduler = pipe.scheduler
    pipe.scheduler = type(scheduler).from_config(scheduler.config, flow_shift=request.sample_shift)
    if "boundary_ratio" in pipe.config:
        pipe.register_to_config(boundary_ratio=request.boundary)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _call(pipe: Any, arguments: dict[str, Any], clock: StepClock) -> torch.Tensor:
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


def _peak_memory_mb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None


def _to_uint8(frames: torch.Tensor) -> torch.Tensor:
    """[frames, 3, height, width] in 0 to 1, on any device, to [frames, height, width, 3] uint8 on the CPU."""
    pixels = frames.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).contiguous().cpu()
