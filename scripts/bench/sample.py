"""What the benchmarks ask for: requests of realistic length, as clients send and as records keep them."""

from __future__ import annotations

from typing import Any

from ulid import ULID

from api.deadlines import Deadlines
from api.terms import terms
from jobs.state import NewJob
from wan_models.bodies import TextToVideo
from wan_models.catalog import CATALOG
from wan_models.request import resolve

TASK = "t2v-A14B"
PROMPT = (
    "Two anthropomorphic cats in comfy boxing gear and bright gloves fight intensely on a spotlighted "
    "stage while the crowd behind them cheers, handheld camera, shallow depth of field, warm evening light"
)


def body(size: str = "128*64", frames: int = 5, steps: int = 2) -> dict[str, Any]:
    """The JSON body of a request that a tiny model serves."""
    return {
        "task": TASK,
        "prompt": PROMPT,
        "size": size,
        "frame_num": frames,
        "sample_steps": steps,
        "sample_guide_scale": 4.0,
        "base_seed": 42,
    }


def new_job() -> NewJob:
    """A job with a fresh id, and a request with every default of the model filled in."""
    asked = TextToVideo(task=TASK, prompt=PROMPT)
    request = resolve(asked, CATALOG[TASK], tiny=False)
    return NewJob(
        id=f"job_{ULID()}".lower(),
        queue=TASK,
        spec=request.model_dump(mode="json", exclude_defaults=True),
        request_id="0af7651916cd43dd8448eb211c80319c",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        **terms(asked, request, Deadlines().of(CATALOG[TASK]), tiny=False),
    )


def result(job_id: str) -> dict[str, Any]:
    """What a worker publishes of a finished video."""
    names = ("queue", "load", "denoise", "decode", "encode", "upload")
    metrics = {f"{name}_seconds": 12.3456 for name in names}
    return {
        "artifact": f"{job_id}/1.mp4",
        "size": 4_194_304,
        "sha256": "0123456789abcdef" * 4,
        "width": 1280,
        "height": 720,
        "frames": 81,
        "fps": 16,
        "metrics": metrics
        | {"seconds_per_step": 7.8901, "peak_memory_mb": 71234.5678, "memory_plan": "model_offload"}
        | {"models_loaded": 1, "models_evicted": 0, "resumed_step": 0}
        | {
            "acceleration": {
                "attention": "native",
                "compiled_blocks": False,
                "vae_tiling": False,
                "context_parallel": 1,
                "step_cache": "none",
                "prompt_cache_hits": 0,
            }
        },
    }


def view(job_id: str) -> dict[str, Any]:
    """What the gateway answers for a queued job, or something of its size."""
    job = new_job()
    return {
        "id": job_id,
        "task": job.queue,
        "status": "queued",
        "progress": 0,
        "step": 0,
        "steps": job.steps,
        "stage": None,
        "queue_position": 1,
        "eta_seconds": None,
        "attempt": 0,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "video_path": f"/videos/{job_id}.mp4",
        "video_url": None,
        "error": None,
        "metrics": None,
        "request": dict(job.spec),
    }
