"""Denoising loops that can begin where a checkpoint left them.

diffusers' pipelines always begin at the first step: they ask the scheduler for its timesteps and the
pipeline for its first latents. A ``ResumableScheduler`` answers the first question with the steps that
are left, with the scheduler's memory restored, and the second with the saved latents.

A pipeline of diffusers::

    with resumable(pipe, run.checkpoints) as scheduler:
        pipe(..., callback_on_step_end=...)  # which calls scheduler.after_step(latents) at each step

A loop of one's own, once for every segment::

    scheduler = ResumableScheduler(UniPCMultistepScheduler(...), run.checkpoints)
    scheduler.set_timesteps(steps, device=device)
    latents = scheduler.begin(noise)  # draw the noise as always: the generator must go the same way
    for t in scheduler.timesteps:
        latents = scheduler.step(model(latents, t), t, latents, return_dict=False)[0]
        run.on_step(scheduler.after_step(latents), steps * segments)

Segments of one video (of animate and speech) are denoised one after another, each from
``set_timesteps``. One that an earlier attempt finished has no timesteps left and begins with its final
latents, so it costs its decoding only.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import torch

from telemetry.owners import for_owner
from wan_models.checkpoints import UNUSABLE, Checkpoints
from wan_models.pipelines.checkpoint_file import (
    CheckpointUnusableError,
    DenoisingState,
    SchedulerState,
    read_checkpoint,
    write_checkpoint,
)

_log = logging.getLogger(__name__)

# What each scheduler of diffusers changes in a step. Another one is never saved, and so never resumed.
_MEMORY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "UniPCMultistepScheduler": (
            "model_outputs",
            "timestep_list",
            "last_sample",
            "lower_order_nums",
            "this_order",
            "_step_index",
        ),
        "DPMSolverMultistepScheduler": ("model_outputs", "lower_order_nums", "_step_index"),
        "FlowMatchEulerDiscreteScheduler": ("_step_index",),
    }
)


class ResumableScheduler:
    """A scheduler of diffusers, whose first timesteps may have been taken by an earlier attempt.

    It is that scheduler in every other respect. Make a new one for every run. ``resumed_step`` is the
    number of the last step that an earlier attempt took, 0 for none.
    """

    def __init__(self, scheduler: Any, checkpoints: Checkpoints | None) -> None:
        self._scheduler = scheduler
        self._checkpoints = checkpoints if type(scheduler).__name__ in _MEMORY else None
        self._saved = _load(self._checkpoints, scheduler)
        self._finished = dict(enumerate(self._saved.finished)) if self._saved else {}
        self._segment = -1
        self._start = self._step = 0
        self.resumed_step = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    @property
    def timesteps(self) -> torch.Tensor:
        """The timesteps of this segment that are left to take."""
        left: torch.Tensor = self._scheduler.timesteps[self._start :]
        return left

    def set_timesteps(self, num_inference_steps: int, device: Any = None, **options: Any) -> None:
        """Begin the next segment."""
        self._scheduler.set_timesteps(num_inference_steps, device=device, **options)
        self._segment += 1
        self._start = self._steps_taken()
        self._step = self._start
        if self._saved and self._segment == self._saved.segment:
            _restore(self._scheduler, self._saved.scheduler, device)
            self.resumed_step = self._segment * num_inference_steps + self._start
            _log.info("Going on behind step %d", self.resumed_step, extra=for_owner())

    def begin(self, latents: torch.Tensor) -> torch.Tensor:
        """The latents to go on with: the given first ones, or those that an earlier attempt came to."""
        if self._saved and self._segment == self._saved.segment:
            latents = self._saved.latents.to(latents.device)
            if self._start == len(self._scheduler.timesteps):
                self._finished[self._segment] = self._saved.latents
        elif self._segment in self._finished:
            latents = self._finished[self._segment].to(latents.device)
        return latents

    def after_step(self, latents: torch.Tensor) -> int:
        """Note a step that was taken, and save the state when that is due.

        Args:
            latents: what the scheduler's step returned.

        Returns:
            The number of the step, from 1, over all segments.
        """
        self._step += 1
        steps = len(self._scheduler.timesteps)
        number = self._segment * steps + self._step
        if self._checkpoints is None:
            return number
        if self._step == steps:
            self._finished[self._segment] = _copy(latents)
        if self._checkpoints.due():
            write = partial(write_checkpoint, self._state(latents), fingerprint=self._checkpoints.fingerprint)
            self._checkpoints.save(number, write)
        return number

    def _steps_taken(self) -> int:
        """Steps of this segment that an earlier attempt took."""
        if self._saved is None or self._segment > self._saved.segment:
            return 0
        if self._segment < self._saved.segment:
            return len(self._scheduler.timesteps)
        return self._saved.step

    def _state(self, latents: torch.Tensor) -> DenoisingState:
        before = tuple(self._finished[segment] for segment in range(self._segment))
        return DenoisingState(
            self._segment, self._step, _copy(latents), before, _scheduler_state(self._scheduler)
        )


@contextmanager
def resumable(pipe: Any, checkpoints: Checkpoints | None) -> Iterator[ResumableScheduler]:
    """Have a pipeline of diffusers resume, and save, for as long as the context lasts.

    The noise is drawn in any case and then replaced, so that the generator goes the same way.
    """
    prepare, scheduler = pipe.prepare_latents, pipe.scheduler
    resumed = ResumableScheduler(scheduler, checkpoints)

    def prepare_latents(*args: Any, **kwargs: Any) -> Any:
        prepared = prepare(*args, **kwargs)
        if isinstance(prepared, tuple):  # image to video: the latents, then what conditions them
            return resumed.begin(prepared[0]), *prepared[1:]
        return resumed.begin(prepared)

    pipe.scheduler, pipe.prepare_latents = resumed, prepare_latents
    try:
        yield resumed
    finally:
        pipe.scheduler = scheduler
        del pipe.prepare_latents


def _load(checkpoints: Checkpoints | None, scheduler: Any) -> DenoisingState | None:
    path = checkpoints.resume() if checkpoints else None
    if checkpoints is None or path is None:
        return None
    try:
        state = read_checkpoint(path, checkpoints.fingerprint)
    except CheckpointUnusableError as error:
        _log.warning("A checkpoint is not resumed from: %s", error, extra=for_owner(UNUSABLE))
        return None
    if state.scheduler.kind != type(scheduler).__name__:
        kind = state.scheduler.kind
        _log.warning("A checkpoint of a %s is not resumed from", kind, extra=for_owner(UNUSABLE))
        return None
    return state


def _scheduler_state(scheduler: Any) -> SchedulerState:
    numbers: dict[str, int] = {}
    tensors: dict[str, torch.Tensor] = {}
    kind = type(scheduler).__name__
    for name in _MEMORY[kind]:
        value = getattr(scheduler, name)
        if isinstance(value, int):
            numbers[name] = value
        elif isinstance(value, torch.Tensor):
            tensors[name] = _copy(value)
        else:
            entries = enumerate(value or ())
            tensors |= {f"{name}.{index}": _copy(entry) for index, entry in entries if entry is not None}
    return SchedulerState(kind, numbers, tensors)


def _restore(scheduler: Any, state: SchedulerState, device: Any) -> None:
    for name, number in state.numbers.items():
        setattr(scheduler, name, number)
    for name, tensor in state.tensors.items():
        attribute, _, index = name.partition(".")
        if index:
            getattr(scheduler, attribute)[int(index)] = tensor.to(device)
        else:
            setattr(scheduler, attribute, tensor.to(device))


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("cpu", copy=True)
