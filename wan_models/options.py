"""How a deployment wants its pipelines: what makes them faster or smaller, and the adapters there are.

The defaults change no output. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from wan_models.loras import NO_LORAS, LoraCatalog

StepCacheName = Literal["none", "first-block", "taylorseer"]

PARALLEL_TASKS = ("t2v-A14B", "i2v-A14B", "ti2v-5B")
"""The tasks whose model diffusers knows how to share among GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Options of every pipeline of a process.

    ``offload`` keeps each part of a model in the device's memory only while it works. ``attention`` names
    a backend of diffusers' attention dispatcher. ``compile_blocks`` compiles the transformers' repeated
    blocks. ``step_cache`` skips work that hardly changes from step to step, where the model is known to
    bear it; ``step_cache_threshold`` is how much of a change counts as hardly any. ``prompt_cache`` is how
    many texts to remember the encoding of. ``vae_tiling`` decodes in overlapping tiles.
    ``context_parallel`` is how many GPUs work on one video, where the model can be shared among them.
    """

    offload: bool = False
    attention: str = "native"
    compile_blocks: bool = False
    step_cache: StepCacheName = "none"
    step_cache_threshold: float = 0.05
    prompt_cache: int = 32
    vae_tiling: bool = False
    context_parallel: int = 1
    loras: LoraCatalog = field(default_factory=lambda: NO_LORAS)
