"""Setting up a loaded pipeline of diffusers as the deployment wants it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import ContextParallelConfig
from diffusers.models.attention_dispatch import attention_backend

from wan_models.errors import GenerationError
from wan_models.options import PipelineOptions
from wan_models.pipelines.step_cache import StepCache
from wan_models.plan import Plan
from wan_models.request import VideoRequest

_MOVING = (Plan.GROUP_OFFLOAD, Plan.FP8)  # plans that hook the layers inside of the blocks

_log = logging.getLogger(__name__)


class Acceleration:
    """What acts on every run of a pipeline.

    The order matters: a step cache hooks compiled blocks from outside, and what shares tokens out among GPUs
    hooks both, so that the cache sees the share of its own process alone.

    Args:
        pipe: the pipeline, just loaded.
        options: how the deployment wants it.
        folder: the model's.

    Raises:
        GenerationError: the attention backend does not exist, or cannot run here or in this way.
    """

    def __init__(self, pipe: Any, options: PipelineOptions, folder: Path) -> None:
        experts = transformers(pipe)
        self._step_cache = StepCache(experts, options, folder)
        compiled = options.compile_blocks and _can_compile(options, self._step_cache, folder)
        for transformer in experts.values():
            if options.attention != "native":  # which is what diffusers does anyway, with less of a warning
                _set_attention(transformer, options.attention)
            if compiled:
                _compile_blocks(transformer)
        self._step_cache.enable()
        for transformer in experts.values() if options.context_parallel > 1 else ():
            _share(transformer, options.context_parallel)
        if options.vae_tiling:
            pipe.vae.enable_tiling()
        self._setup = {
            "attention": options.attention,
            "compiled_blocks": compiled,
            "vae_tiling": options.vae_tiling,
            "context_parallel": options.context_parallel,
        }

    def begin(self, request: VideoRequest, scheduler: Any) -> dict[str, Any]:
        """Get ready for a run; what will be in effect in it, by the name of the option.

        Args:
            request: what is to be made.
            scheduler: the pipeline's, with the request's shift.
        """
        return {**self._setup, "step_cache": self._step_cache.begin(request, scheduler)}


def transformers(pipe: Any) -> Mapping[str, Any]:
    """The diffusion transformers of a pipeline by their names: one, or the high- and the low-noise expert."""
    found = {name: getattr(pipe, name, None) for name in ("transformer", "transformer_2")}
    return {name: transformer for name, transformer in found.items() if transformer is not None}


def _can_compile(options: PipelineOptions, step_cache: StepCache, folder: Path) -> bool:
    """Whether blocks stay in one piece: what works inside of them would cut them up."""
    if options.plan in _MOVING:
        inside = f"the plan {options.plan}"
    elif step_cache.name == "taylorseer":
        inside = step_cache.name
    elif options.context_parallel > 1:  # processes ask each other how much everyone has of an attention
        inside = "sharing a video among GPUs"
    else:
        return True
    _log.warning("%s runs without compiled blocks: %s works inside of them.", folder.name, inside)
    return False


def _compile_blocks(transformer: Any) -> None:
    """As ``compile_repeated_blocks`` of diffusers, but for their hooks, which stay outside."""
    for block in transformer.modules():
        if type(block).__name__ in transformer._repeated_blocks:  # noqa: SLF001 - where a class names them
            block.forward = torch.compile(block.forward, fullgraph=True)


def _set_attention(transformer: Any, backend: str) -> None:
    try:
        # Setting it for a model also sets it for the whole process; the context takes that back.
        with attention_backend():
            transformer.set_attention_backend(backend)
    except (ImportError, RuntimeError, ValueError) as error:
        raise GenerationError(f"The attention backend {backend!r} cannot be used here: {error}") from error


def _share(transformer: Any, gpus: int) -> None:
    heads = transformer.config.get("num_attention_heads") or transformer.config["num_heads"]
    if not _can_share(heads, gpus):
        able = ", ".join(str(count) for count in range(2, heads + 1) if _can_share(heads, count))
        raise GenerationError(
            f"{gpus} GPUs cannot share this model's {heads} attention heads. CONTEXT_PARALLEL may be {able}."
        )
    # "Anything": the tokens of most shapes of picture cannot be divided evenly.
    config = ContextParallelConfig(ulysses_degree=gpus, ulysses_anything=True)
    try:
        transformer.enable_parallelism(config=config)
    except ValueError as error:
        raise GenerationError(f"{gpus} GPUs cannot share a video: {error}") from error


def _can_share(heads: int, gpus: int) -> bool:
    """Heads are filled up to a multiple, and the last GPU must have one of the model's own."""
    each = -(-heads // gpus)
    return each * gpus - heads < each
