"""Leaving out work that hardly changes from step to step. It changes the video, so the deployment decides."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    FirstBlockCacheConfig,
    MagCacheConfig,
    TaylorSeerCacheConfig,
    WanTransformer3DModel,
)

from wan_models.options import PipelineOptions, StepCacheName
from wan_models.pipelines.magnitudes import Curve, ratios, read_curves, timesteps_by_expert
from wan_models.request import VideoRequest

# By default TaylorSeer looks for names that Wan's blocks do not have, and hooks nothing.
_TAYLORSEER_PARTS = [r"blocks\.\d+\.(attn1|attn2|ffn)"]
_FEWEST_STEPS = 10  # that a run must have for MagCache: with fewer, no step is like the one before
_LEFT_ALONE, _ALL = 0.2, 1.0  # the share of a transformer's first steps that it does not touch

_log = logging.getLogger(__name__)


class StepCache:
    """The step cache of one pipeline's transformers.

    What it remembers goes with each run's end, however it ends, by diffusers' ``maybe_free_model_hooks``.

    Args:
        experts: the transformers by their names.
        options: how the deployment wants it.
        folder: the model's, with the curves that MagCache goes by.
    """

    def __init__(self, experts: Mapping[str, Any], options: PipelineOptions, folder: Path) -> None:
        self._experts = experts
        self._threshold = options.step_cache_threshold
        self._curves = read_curves(folder)
        self._mag_caches: dict[str, Any] = {}
        self.name: StepCacheName = options.step_cache
        """What is in effect: ``none`` also where the model or the deployment does not bear the one chosen."""
        if obstacle := _obstacle(experts, options, self._curves):
            _log.warning("%s runs without the step cache %s: %s", folder.name, self.name, obstacle)
            self.name = "none"

    def enable(self) -> None:
        """Set it up. What has hooked the blocks before is inside of it, and what does so later outside."""
        if self.name == "none":
            return
        for name, expert in self._experts.items():
            config = self._config()
            expert.enable_cache(config)
            if isinstance(config, MagCacheConfig):
                self._mag_caches[name] = config

    def begin(self, request: VideoRequest, scheduler: Any) -> StepCacheName:
        """Get ready for a run; what will be in effect in it.

        MagCache has to know beforehand how many steps each transformer takes: of two experts, each takes a
        part of the run.

        Args:
            request: what is to be made.
            scheduler: the pipeline's, with the request's shift.
        """
        if not self._mag_caches:
            return self.name
        enough = request.sample_steps >= _FEWEST_STEPS
        for name, timesteps in timesteps_by_expert(scheduler, request.sample_steps, request.boundary).items():
            config = self._mag_caches[name]
            config.num_inference_steps = len(timesteps)
            config.mag_ratios = torch.tensor(ratios(self._curves[name], timesteps))
            config.retention_ratio = _LEFT_ALONE if enough else _ALL
        return self.name if enough else "none"

    def _config(self) -> Any:
        if self.name == "first-block":
            return FirstBlockCacheConfig(threshold=self._threshold)
        if self.name == "magcache":  # the rest follows with each run
            return MagCacheConfig(threshold=self._threshold, mag_ratios=[1.0], num_inference_steps=1)
        return TaylorSeerCacheConfig(cache_identifiers=_TAYLORSEER_PARTS)


def _obstacle(
    experts: Mapping[str, Any], options: PipelineOptions, curves: Mapping[str, Curve]
) -> str | None:
    """Why the step cache cannot be used, None where it can."""
    if options.step_cache == "none":
        return None
    if not all(type(expert) is WanTransformer3DModel for expert in experts.values()):
        return "diffusers' caches do not know the blocks of this model."
    if options.step_cache == "first-block" and options.context_parallel > 1:
        # Each process would decide by its own share of the tokens; where they differ, one waits for ever.
        return "GPUs that share a video would not decide alike."
    if options.step_cache == "magcache" and not set(experts) <= set(curves):
        return "it was not measured yet; run python -m scripts.calibrate_step_cache --model with its name."
    return None
