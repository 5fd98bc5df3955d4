"""Measuring how much the blocks of a model add, step after step of one run; see ``magnitudes``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from operator import mul
from typing import Any

import torch

from wan_models.pipeline import OnStep, Run
from wan_models.pipelines.acceleration import transformers
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.magnitudes import Curve, timesteps_by_expert
from wan_models.request import VideoRequest


class Meter:
    """Measures one transformer. ``ratios`` has an entry for each step that it has taken.

    An entry says how much larger the work of all blocks together was than at the step before, token by token,
    on the average, and of the passes with and without the prompt; the first one is 1.
    """

    def __init__(self) -> None:
        self.ratios: list[float] = []
        self._coming: Any = None
        self._passes: list[torch.Tensor] = []
        self._before: list[torch.Tensor] = []

    def enter(self, _block: Any, arguments: tuple[Any, ...]) -> None:
        """A forward pre-hook of the first block."""
        self._coming = arguments[0]

    def leave(self, _block: Any, _arguments: tuple[Any, ...], states: torch.Tensor) -> None:
        """A forward hook of the last block."""
        added = (states - self._coming).float()
        self._passes.append(torch.linalg.vector_norm(added, dim=-1).cpu())
        self._coming = None

    def end_step(self) -> None:
        """Note what came in since the last step; nothing came where another transformer took this one."""
        if not self._passes:
            return
        pairs = list(zip(self._passes, self._before, strict=True)) if self._before else []
        changes = [(after / (before + 1e-8)).mean().item() for after, before in pairs]
        self.ratios.append(sum(changes) / len(changes) if changes else 1.0)
        self._before, self._passes = self._passes, []


@contextmanager
def metered(experts: Mapping[str, Any]) -> Iterator[Mapping[str, Meter]]:
    """Measure transformers of diffusers, by their names, for as long as the context lasts."""
    meters = {name: Meter() for name in experts}
    hooks = []
    for name, expert in experts.items():
        hooks.append(expert.blocks[0].register_forward_pre_hook(meters[name].enter))
        hooks.append(expert.blocks[-1].register_forward_hook(meters[name].leave))
    try:
        yield meters
    finally:
        for hook in hooks:
            hook.remove()


def measure(
    engine: Engine, request: VideoRequest, arguments: dict[str, Any], on_step: OnStep
) -> dict[str, Curve]:
    """Make a video, and keep of it how the magnitudes went, by the names of the transformers.

    Args:
        engine: a model without a step cache.
        request: what to make.
        arguments: what the pipeline is called with; see ``Engine.generate``.
        on_step: told how far it is.

    Raises:
        GenerationError: the model broke.
    """
    with metered(transformers(engine.pipe)) as meters:

        def step_taken(step: int, steps: int) -> None:
            for meter in meters.values():
                meter.end_step()
            on_step(step, steps)

        engine.generate(request, Run(on_step=step_taken), arguments)
    timesteps = timesteps_by_expert(engine.pipe.scheduler, request.sample_steps, request.boundary)
    return {
        name: list(zip(timesteps[name], accumulate(meter.ratios, mul), strict=True))
        for name, meter in meters.items()
    }
