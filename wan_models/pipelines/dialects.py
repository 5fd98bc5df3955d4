"""How vLLM-Omni and SGLang want to be asked for a video, and where they differ in what they answer.

Both speak OpenAI's ``/v1/videos`` with fields of their own. vLLM-Omni takes forms alone. SGLang takes JSON
or, with a file, a form whose field ``extra_body`` holds what OpenAI's form does not know.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wan_models.engines import RemoteEngine
from wan_models.errors import UnusableInputError
from wan_models.request import VideoRequest

_STANDARD = ("prompt", "model", "size", "seconds")


def creation(engine: RemoteEngine, request: VideoRequest, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """The arguments of httpx's ``post`` that ask an engine for a video.

    Raises:
        UnusableInputError: the engine has no use for an input.
    """
    fields = _fields(engine, request)
    files = {"input_reference": _file(inputs["image"])} if "image" in inputs else {}
    if engine.dialect == "vllm-omni":
        _refuse_others(engine, inputs, {"image", "audio"})
        if "audio" in inputs:
            sound = b64encode(inputs["audio"].read_bytes()).decode()
            fields["audio_reference"] = json.dumps({"audio_url": f"data:audio/wav;base64,{sound}"})
        # A part without a file name is a plain field; so the form has parts even where no file comes along.
        return {"files": {name: (None, str(value)) for name, value in fields.items()} | files}
    _refuse_others(engine, inputs, {"image"})
    if not files:
        return {"json": fields}
    standard = {name: str(value) for name, value in fields.items() if name in _STANDARD}
    extra = {name: value for name, value in fields.items() if name not in _STANDARD}
    return {"data": standard | {"extra_body": json.dumps(extra)}, "files": files}


def _fields(engine: RemoteEngine, request: VideoRequest) -> dict[str, Any]:
    guidance = request.sample_guide_scale
    fields: dict[str, Any] = {
        "model": engine.model,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "size": f"{request.width}x{request.height}",
        "width": request.width,
        "height": request.height,
        "num_frames": request.frame_num,
        "fps": request.fps,
        "num_inference_steps": request.sample_steps,
        "guidance_scale": guidance.high,
        "guidance_scale_2": None if request.boundary is None else guidance.low,
        "boundary_ratio": request.boundary if engine.dialect == "vllm-omni" else None,
        "flow_shift": request.sample_shift,
        "seed": request.base_seed,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_others(engine: RemoteEngine, inputs: Mapping[str, Path], known: set[str]) -> None:
    for name in sorted(set(inputs) - known):
        raise UnusableInputError(
            name, f"{engine.dialect}, which serves {engine.task} here, does not take it."
        )


def _file(path: Path) -> tuple[str, bytes]:
    return path.name, path.read_bytes()
