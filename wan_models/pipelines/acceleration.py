"""Setting up a loaded pipeline of diffusers as the deployment wants it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diffusers import (
    ContextParallelConfig,
    FirstBlockCacheConfig,
    TaylorSeerCacheConfig,
    WanTransformer3DModel,
)
from diffusers.models.attention_dispatch import attention_backend

from wan_models.errors import GenerationError
from wan_models.options import PipelineOptions

# By default TaylorSeer looks for names that Wan's blocks do not have, and hooks nothing.
_TAYLORSEER_PARTS = [r"blocks\.\d+\.(attn1|attn2|ffn)"]


def accelerate(pipe: Any, options: PipelineOptions) -> dict[str, Any]:
    """Set up what acts on every run.

    Returns:
        What is in effect, by the name of the option.

    Raises:
        GenerationError: the attention backend does not exist or cannot run here.
    """
    for transformer in transformers(pipe):
        if options.attention != "native":  # which is what diffusers does anyway, with less of a warning
            _set_attention(transformer, options.attention)
        if options.context_parallel > 1:
            transformer.enable_parallelism(config=_sharing(options.context_parallel))
        if options.compile_blocks:
            transformer.compile_repeated_blocks(fullgraph=True)
    if options.vae_tiling:
        pipe.vae.enable_tiling()
    return {
        "attention": options.attention,
        "compiled_blocks": options.compile_blocks,
        "step_cache": _cache_steps(pipe, options),
        "vae_tiling": options.vae_tiling,
        "context_parallel": options.context_parallel,
    }


def _sharing(gpus: int) -> ContextParallelConfig:
    # "Anything": the tokens of most shapes of picture cannot be divided evenly.
    return ContextParallelConfig(ulysses_degree=gpus, ulysses_anything=True)


def transformers(pipe: Any) -> Iterator[Any]:
    """The diffusion transformers of a pipeline: one, or the high-noise and the low-noise expert."""
    for name in ("transformer", "transformer_2"):
        if (transformer := getattr(pipe, name, None)) is not None:
            yield transformer


def _set_attention(transformer: Any, backend: str) -> None:
    try:
        # Setting it for a model also sets it for the whole process; the context takes that back.
        with attention_backend():
            transformer.set_attention_backend(backend)
    except (ImportError, RuntimeError, ValueError) as error:
        raise GenerationError(f"The attention backend {backend!r} cannot be used here: {error}") from error


def _cache_steps(pipe: Any, options: PipelineOptions) -> str:
    """Only the plain transformer bears it: diffusers' hooks do not know the blocks of the others."""
    experts = list(transformers(pipe))
    if options.step_cache == "none" or not all(type(it) is WanTransformer3DModel for it in experts):
        return "none"
    for transformer in experts:
        transformer.enable_cache(_step_cache(options))
    return options.step_cache


def _step_cache(options: PipelineOptions) -> Any:
    if options.step_cache == "first-block":
        return FirstBlockCacheConfig(threshold=options.step_cache_threshold)
    return TaylorSeerCacheConfig(cache_identifiers=_TAYLORSEER_PARTS)
