"""Making a video in different ways: with diffusers alone, and with our engine and one thing switched on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import torch

from scripts.bench_gpu.shapes import Shape
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.errors import GenerationError
from wan_models.options import PipelineOptions
from wan_models.pipeline import Run
from wan_models.pipelines.arguments import guidance_arguments, text_arguments
from wan_models.pipelines.engine import Engine
from wan_models.pipelines.memory import free_memory
from wan_models.plan import Plan
from wan_models.request import VideoRequest, resolve

PROMPT = "Two anthropomorphic cats in boxing gear fight on a spotlighted stage, warm evening light"
WAYS: Mapping[str, PipelineOptions] = MappingProxyType(
    {
        "engine, resident": PipelineOptions(),
        "cuDNN attention": PipelineOptions(attention="_native_cudnn"),
        "flash attention 3": PipelineOptions(attention="_flash_3"),
        "compiled blocks": PipelineOptions(compile_blocks=True),
        "first-block cache": PipelineOptions(step_cache="first-block"),
        "TaylorSeer": PipelineOptions(step_cache="taylorseer"),
        "tiled VAE": PipelineOptions(vae_tiling=True),
        "model offload": PipelineOptions(plan=Plan.MODEL_OFFLOAD),
        "group offload": PipelineOptions(plan=Plan.GROUP_OFFLOAD),
        "fp8": PipelineOptions(plan=Plan.FP8),
    }
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way cost. ``video_seconds`` are for as many steps as the model takes by default."""

    step_seconds: float
    video_seconds: float
    peak_gb: float | None
    note: str = ""


def measure(shape: Shape, steps: int) -> Iterator[tuple[str, Cost | str]]:
    """Each way's cost, or why there is none, on a model that is made anew for it."""
    request = _request(shape, steps)
    yield "diffusers alone", _tried(partial(_bare, shape, request))
    for name, options in WAYS.items():
        yield name, _tried(partial(_engine, shape, request, options))


def _tried(run: Callable[[], Cost]) -> Cost | str:
    try:
        return run()
    except (GenerationError, RuntimeError, ImportError) as error:
        return str(error).splitlines()[0][:70]
    finally:
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


def _bare(shape: Shape, request: VideoRequest) -> Cost:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    default = torch.bfloat16 if device.type == "cuda" else torch.float32
    pipe = shape.from_pretrained(Path(), dtype={"vae": torch.float32, "default": default})
    pipe.to(device)
    pipe.set_progress_bar_config(disable=True)
    times: list[float] = []

    def note(_pipe: object, _step: int, _time: object, tensors: dict[str, object]) -> dict[str, object]:
        _wait_for(device)
        times.append(time.perf_counter())
        return tensors

    arguments = _arguments(request)
    for _ in range(2):  # the first one warms up
        times.clear()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        with torch.inference_mode():
            pipe(**arguments | _seeded(request), output_type="pt", callback_on_step_end=note)
        _wait_for(device)
        whole = time.perf_counter() - began
    return _cost(request, (times[-1] - times[0]) / (len(times) - 1), whole)


def _engine(shape: Shape, request: VideoRequest, options: PipelineOptions) -> Cost:
    engine = Engine(shape, Path(), options)
    for _ in range(2):
        began = time.perf_counter()
        made = engine.generate(request, Run(on_step=lambda *_: None), _arguments(request) | _seeded(request))
        whole = time.perf_counter() - began
    return _cost(request, made.metrics["seconds_per_step"], whole)


def _arguments(request: VideoRequest) -> dict[str, object]:
    return text_arguments(request) | guidance_arguments(request) | {"num_frames": request.frame_num}


def _seeded(request: VideoRequest) -> dict[str, object]:
    return {"generator": torch.Generator("cpu").manual_seed(request.base_seed)}


def _cost(request: VideoRequest, step_seconds: float, whole: float) -> Cost:
    """The rest of a video, texts and decoding, is what the steps leave of its time."""
    video = whole + (CATALOG[request.task].steps - request.sample_steps) * step_seconds
    peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return Cost(step_seconds, video, peak)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
