"""The catalog as clients see it: what each task takes, and how this service stands to it."""

from __future__ import annotations

from typing import Any

from api.deadlines import Deadline
from api.load import QueueLoad
from api.parts import Parts
from api.schemas import Defaults, FrameRange, Limits, LoraView, ModelList, ModelView, PresetView, Range
from jobs.state import JobFilter, JobState
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG, FrameRule, ModelSpec, accepted_sizes
from wan_models.fields import MAX_PROMPT_CHARACTERS
from wan_models.loras import NO_LORAS, Lora, LoraCatalog, loras_for
from wan_models.models_dir import InstalledModel
from wan_models.presets import LIGHTNING, PRESETS, defaults_of
from wan_models.presets import Defaults as RequestDefaults


def list_models(parts: Parts) -> ModelList:
    """Every task of the catalog.

    Raises:
        StoreUnavailableError: the queues cannot be counted.
    """
    installed = parts.models.get()
    return ModelList(
        models=[
            _view(
                spec,
                installed.get(spec.id),
                parts.load.of(spec.id),
                parts.store.count(JobFilter(queue=spec.id, state=JobState.QUEUED)),
                _adapters(spec, installed.get(spec.id), parts.loras),
                deadline=parts.deadlines.of(spec),
            )
            for spec in CATALOG.values()
        ]
    )


def _adapters(spec: ModelSpec, model: InstalledModel | None, loras: LoraCatalog) -> LoraCatalog:
    """Those that requests for a model may name; one that another server makes the videos of takes none."""
    return NO_LORAS if model and model.engine else loras_for(spec.id, loras)


def _view(
    spec: ModelSpec,
    model: InstalledModel | None,
    load: QueueLoad,
    queued: int,
    adapters: LoraCatalog,
    *,
    deadline: Deadline,
) -> ModelView:
    tiny = model is not None and model.tiny
    return ModelView(
        id=spec.id,
        title=spec.title,
        kind=spec.kind,
        accepts=sorted(spec.accepts),
        installed=model is not None,
        verified=model is not None and model.verified,
        engine=model.engine if model else None,
        tiny=tiny,
        available=model is not None and spec.pipeline is not None,
        sizes=[str(size) for size in accepted_sizes(spec, tiny=tiny)],
        defaults=_defaults(spec, deadline),
        limits=_limits(spec.frames),
        presets=_presets(spec, adapters),
        loras=[_lora(name, lora) for name, lora in adapters.items()],
        workers=load.workers,
        queued=queued,
        parameters_b=spec.parameters_b,
        disk_gb=spec.disk_gb,
        memory_gb=spec.memory_gb,
        repository=spec.repository,
        install=None
        if model or not spec.pipeline
        else f"python scripts/download_wan_models.py --model {spec.id}",
    )


def _defaults(spec: ModelSpec, deadline: Deadline) -> Defaults:
    return Defaults(
        size=str(spec.sizes[0]),
        frame_num=spec.frames.default,
        sample_steps=spec.steps,
        sample_guide_scale=spec.guidance,
        sample_shift=spec.shift,
        fps=spec.fps,
        negative_prompt=spec.negative_prompt,
        expires_in=deadline.expires_in,
        timeout=deadline.timeout,
    )


def _presets(spec: ModelSpec, adapters: LoraCatalog) -> dict[str, PresetView]:
    """The presets by name; the one that stands for an adapter only where that is installed."""
    return {
        name: _preset(defaults_of(spec, name, [adapters[LIGHTNING]] if name == LIGHTNING else []))
        for name in PRESETS
        if name != LIGHTNING or LIGHTNING in adapters
    }


def _preset(defaults: RequestDefaults) -> PresetView:
    return PresetView(size=str(defaults.size), frame_num=defaults.frames, sample_steps=defaults.steps)


def _lora(name: str, lora: Lora) -> LoraView:
    bounds = lora.strength
    return LoraView(
        name=name,
        title=lora.title,
        strength=bounds.default,
        strengths=Range(minimum=bounds.minimum, maximum=bounds.maximum),
        sample_steps=lora.settings.sample_steps,
    )


def _limits(frames: FrameRule) -> Limits:
    properties = TextToVideo.model_json_schema()["properties"]
    return Limits(
        prompt_characters=MAX_PROMPT_CHARACTERS,
        frame_num=FrameRange(
            minimum=frames.minimum, maximum=frames.maximum, step=frames.step, offset=frames.offset
        ),
        sample_steps=_range(properties["sample_steps"]),
        sample_guide_scale=_range(properties["sample_guide_scale"]),
        sample_shift=_range(properties["sample_shift"]),
        fps=_range(properties["fps"]),
        base_seed=_range(properties["base_seed"]),
    )


def _range(field: dict[str, Any]) -> Range:
    """The bounds of a field that may also be null, or a pair, from its JSON schema."""
    number = next(option for option in field["anyOf"] if "minimum" in option)
    return Range(minimum=number["minimum"], maximum=number["maximum"])
