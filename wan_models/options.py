"""How a deployment wants its pipelines: what makes them faster or smaller, and the adapters there are.

The defaults change no output. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator

from wan_models.loras import NO_LORAS, LoraCatalog
from wan_models.plan import Plan
from wan_models.shelf import Shelf

StepCacheName = Literal["none", "first-block", "magcache", "taylorseer"]

PARALLEL_TASKS = ("t2v-A14B", "i2v-A14B", "ti2v-5B", "s2v-14B")
"""The tasks whose model can be shared among GPUs. diffusers has no plan for the one of animate-14B."""

MEASURABLE_TASKS = ("t2v-A14B", "i2v-A14B", "ti2v-5B")
"""The tasks whose transformers bear step caches."""

MAGNITUDES = "magcache.json"
"""The file in a model's folder that MagCache goes by; see ``wan_models.pipelines.magnitudes``."""

# Options may travel to another process. What has been loaded here does not come along.
_OwnShelf = Annotated[Shelf, PlainValidator(lambda _: Shelf()), PlainSerializer(lambda _: None)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """Options of every pipeline of a process.

    ``plan`` says which parts of a model are in the device's memory while they do not work. ``shelf`` has
    parts of other models, and ``shared`` tells which of this model's may come from there or go there: their
    digests by their names. ``attention`` names a backend of diffusers' attention dispatcher.
    ``compile_blocks`` compiles the transformers' repeated blocks. ``step_cache`` skips work that hardly
    changes from step to step, where the model is known to bear it; ``step_cache_threshold`` is how much of
    a change counts as hardly any. ``prompt_cache`` is how many texts to remember the encoding of.
    ``vae_tiling`` decodes in overlapping tiles. ``context_parallel`` is how many GPUs work on one video,
    where the model can be shared among them. ``memory_limit`` is how many bytes of its GPU a process
    may take.
    """

    plan: Plan = Plan.RESIDENT
    shelf: _OwnShelf = field(default_factory=Shelf)
    shared: Mapping[str, str] = field(default_factory=dict)
    attention: str = "native"
    compile_blocks: bool = False
    step_cache: StepCacheName = "none"
    step_cache_threshold: float = 0.05
    prompt_cache: int = 32
    vae_tiling: bool = False
    context_parallel: int = 1
    memory_limit: int | None = None
    loras: LoraCatalog = field(default_factory=lambda: NO_LORAS)
