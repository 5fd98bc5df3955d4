"""Making a video in different ways: with diffusers alone, and with our engine and one thing switched on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from scripts.bench_gpu.shapes import Shape
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.options import PipelineOptions
from wan_models.pipeline import Run
from wan_models.pipelines.acceleration import transformers
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.magnitudes import write_curves
from wan_models.pipelines.memory import free_memory, own_device, own_dtype
from wan_models.plan import Plan
from wan_models.request import VideoRequest, resolve

PROMPT = "Two anthropomorphic cats in boxing gear fight on a spotlighted stage, warm evening light"
ALONE = "diffusers alone"
_WARM_UP_STEPS = 2
_CACHE_STEPS = 10  # as many as a step cache needs to show its rhythm
_LEVEL = ((1000.0, 1.0), (0.0, 1.0))  # a curve of MagCache by which no step differs from the one before

_CACHES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "first-block cache *": {"step_cache": "first-block", "step_cache_threshold": 1.0},
        "MagCache *": {"step_cache": "magcache", "step_cache_threshold": 1.0},
        "TaylorSeer": {"step_cache": "taylorseer"},
    }
)
_OTHERS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "cuDNN attention": {"attention": "_native_cudnn"},
        "flash attention 3": {"attention": "_flash_3"},
        "compiled blocks": {"compile_blocks": True},
        "tiled VAE": {"vae_tiling": True},
    }
)


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make a video. ``cached`` leaves steps out, so that it takes more of them to be told."""

    options: PipelineOptions = field(default_factory=PipelineOptions)
    cached: bool = False


def ways(plan: Plan) -> dict[str, Way]:
    """The ways by their names, on the memory plan that the model needs here, and on those that need less."""
    found = {f"engine, {plan}": Way(PipelineOptions(plan=plan))}
    for name, options in {**_OTHERS, **_CACHES}.items():
        found[name] = Way(PipelineOptions(plan=plan, **options), cached=name in _CACHES)
    for smaller in list(Plan)[list(Plan).index(plan) + 1 :]:
        found[str(smaller)] = Way(PipelineOptions(plan=smaller))
    return found


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way cost. ``video_seconds`` are for as many steps as the model takes by default.

    ``worked`` is the share of the steps in which the last block worked, where that was counted.
    """

    step_seconds: float
    video_seconds: float
    peak_gb: float | None
    worked: float | None = None


def measure(
    shape: Shape, steps: int, plan: Plan, scratch: Path, chosen: Mapping[str, Way]
) -> Iterator[tuple[str, Cost | str]]:
    """Each way's cost, or why there is none, on a model that is made anew for it.

    Args:
        shape: the model and the video.
        steps: how many to measure of each video.
        plan: the memory plan of diffusers alone.
        scratch: a folder to write to.
        chosen: the ways by their names.
    """
    write_curves(scratch, {"transformer": _LEVEL, "transformer_2": _LEVEL})
    yield ALONE, _tried(partial(_bare, shape, steps, plan))
    for name, way in chosen.items():
        yield name, _tried(partial(_engine, shape, steps, way, scratch))


def _tried(run: Callable[[], Cost]) -> Cost | str:
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - a way that breaks must not take the others with it
        return f"{type(error).__name__}: {error}".splitlines()[0][:90]
    finally:
        torch.compiler.reset()  # what was compiled is of no use to the next model
        free_memory()


def _request(shape: Shape, steps: int) -> VideoRequest:
    body = TextToVideo(
        task=shape.task,
        prompt=PROMPT,
        size=str(shape.size),
        frame_num=shape.frames,
        sample_steps=steps,
        base_seed=42,
    )
    return resolve(body, CATALOG[shape.task], tiny=True)


def _bare(shape: Shape, steps: int, plan: Plan) -> Cost:
    """As diffusers' own documentation does it."""
    device = own_device()
    pipe = shape.from_pretrained(Path(), dtype={"vae": torch.float32, "default": own_dtype()})
    if plan is Plan.RESIDENT:
        pipe.to(device)
    else:
        pipe.enable_model_cpu_offload(device=device)
    pipe.set_progress_bar_config(disable=True)
    times: list[float] = []

    def note(_pipe: object, _step: int, _time: object, tensors: dict[str, object]) -> dict[str, object]:
        _wait_for(device)
        times.append(time.perf_counter())
        return tensors

    for count in (_WARM_UP_STEPS, steps):
        request = _request(shape, count)
        times.clear()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        with torch.inference_mode():
            pipe(**_arguments(request), output_type="pt", callback_on_step_end=note)
        _wait_for(device)
        whole = time.perf_counter() - began
    return _cost(request, (times[-1] - times[0]) / (len(times) - 1), whole)


def _engine(shape: Shape, steps: int, way: Way, scratch: Path) -> Cost:
    engine = Engine(shape, scratch, way.options)
    count = max(steps, _CACHE_STEPS) if way.cached else steps
    _generate(engine, _request(shape, _WARM_UP_STEPS))
    worked = _Counter(engine.pipe) if way.cached else None
    request = _request(shape, count)
    began = time.perf_counter()
    metrics = _generate(engine, request)
    whole = time.perf_counter() - began
    passes = 2 if max(request.sample_guide_scale) > 1 else 1
    share = worked.calls / (passes * count) if worked else None
    return _cost(request, metrics["seconds_per_step"], whole, share)


class _Counter:
    """Counts how often the last block of any transformer works."""

    def __init__(self, pipe: Any) -> None:
        self.calls = 0
        for transformer in transformers(pipe).values():
            transformer.blocks[-1].ffn.net[-1].register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.calls += 1


def _generate(engine: Engine, request: VideoRequest) -> Mapping[str, Any]:
    return engine.generate(request, Run(on_step=lambda *_: None), _arguments(request)).metrics


def _arguments(request: VideoRequest) -> dict[str, Any]:
    return text_arguments(request) | guidance_arguments(request) | {"num_frames": request.frame_num}


def _cost(request: VideoRequest, step_seconds: float, whole: float, worked: float | None = None) -> Cost:
    """The rest of a video, texts and decoding, is what the steps leave of its time."""
    video = whole + (CATALOG[request.task].steps - request.sample_steps) * step_seconds
    peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return Cost(step_seconds, video, peak, worked)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
