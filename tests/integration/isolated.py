"""Videos made in a process of their own: ``python -m tests.integration.isolated MODELS MEDIA LORAS WAY…``.

Prints the hash of each way's small request, in order; ``WAY@CACHE`` makes it with a step cache. With
``--mixed``, requests of every other kind go before each of them: other settings, adapters, attentions and
caches, faults, and runs that are stopped.
"""

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.integration.ways import WAYS, Way
from wan_models.errors import GenerationError, GenerationStoppedError
from wan_models.loras import TASKS, LoraUse, read_loras
from wan_models.options import PipelineOptions, StepCacheName
from wan_models.pipeline import Pipeline, Run
from wan_models.registry import Registry

STEP_CACHES: tuple[StepCacheName, ...] = ("first-block", "magcache", "taylorseer")
OTHER = {"prompt": "no", "size": "128*64", "sample_steps": 2, "sample_shift": 2.5, "sample_guide_scale": 1}


MORE_STEPS = {"sample_steps": 10}  # enough for every step cache


def stop(_step: int, _steps: int) -> None:
    raise GenerationStoppedError


def disturb(way: Way, pipeline: Pipeline, registries: list[Registry], media: Path) -> None:
    """Everything that a request may do to the one behind it."""
    way.frames(pipeline, media, **OTHER)
    way.frames(pipeline, media, **OTHER | MORE_STEPS)
    with suppress(GenerationStoppedError):
        pipeline.generate(way.request(), way.run(media, on_step=stop))
    with suppress(GenerationError, GenerationStoppedError):
        pipeline.generate(way.request(prompt="broken"), Run(on_step=stop, inputs={"image": media}))
    if way.task in TASKS:
        adapted = way.request().model_copy(update={"loras": (LoraUse(name="a", strength=1.0),)})
        pipeline.generate(adapted, way.run(media))
    for registry in registries:
        way.frames(registry.load(way.task), media, **MORE_STEPS)


def main(models: Path, media: Path, loras: Path, names: list[str], *, mixed: bool) -> None:
    """Make each video and print what came of it."""
    options = PipelineOptions(loras=read_loras(loras))
    plain = Registry(models, options)
    caching: dict[str, Registry] = {
        cache: Registry(models, replace(options, step_cache=cache, step_cache_threshold=1.0))
        for cache in STEP_CACHES
    }
    others = [
        Registry(models, replace(options, attention="_native_math", vae_tiling=True)),
        *caching.values(),
    ]
    for name in names:
        told, _, cache = name.partition("@")
        way = WAYS[told]
        pipeline = (caching[cache] if cache else plain).load(way.task)
        if mixed:
            disturb(way, pipeline, others, media)
        frames = way.frames(pipeline, media, **MORE_STEPS if cache else {})
        digest = hashlib.sha256(frames.numpy().tobytes()).hexdigest()
        sys.stdout.write(json.dumps([name, digest]) + "\n")


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--mixed"]
    main(Path(given[0]), Path(given[1]), Path(given[2]), given[3:], mixed="--mixed" in sys.argv)
