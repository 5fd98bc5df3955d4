"""What happens at each step of diffusers' pipelines."""

from __future__ import annotations

import time
from typing import Any

import torch

from wan_models.pipeline import OnStep
from wan_models.pipelines.preview import Preview
from wan_models.pipelines.resumable import ResumableScheduler


class StepClock:
    """diffusers' step callback: has the state saved and pictures taken, passes the step on, and measures.

    ``stopped`` tells an exception of ``on_step`` from a fault of the model. The exception itself is not
    kept: its traceback would keep the tensors of the run.
    """

    def __init__(
        self, steps: int, on_step: OnStep, scheduler: ResumableScheduler, preview: Preview | None = None
    ) -> None:
        self._preview = preview
        self._steps = steps
        self._on_step = on_step
        self._scheduler = scheduler
        self._started = time.perf_counter()
        self._first = self._last = self._started
        self._taken = 0
        self.stopped = False

    def __call__(self, _pipe: Any, _index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """See ``callback_on_step_end`` of diffusers' pipelines."""
        if tensors["latents"].is_cuda:
            torch.cuda.synchronize()  # the GPU runs behind Python: a step counts when it is done
        self._last = time.perf_counter()
        self._taken += 1
        if self._taken == 1:
            self._first = self._last
        # Not the index: that starts anew in each segment, and where a run goes on.
        number = self._scheduler.after_step(tensors["latents"])
        if self._preview:
            self._preview.after_step(number, self._scheduler, tensors["latents"])
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
