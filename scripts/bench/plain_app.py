"""The gateway's plain alternative: FastAPI and ``task.delay()``, as tutorials write it.

``python -m scripts.bench.plain_app`` serves it on ``PORT``, over the Redis of ``REDIS_URL``.
"""

from __future__ import annotations

import os
from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from celery import Celery
from fastapi import FastAPI
from pydantic import BaseModel, Field

from jobs.embedded import broker_url
from scripts.bench import sample


class Request(BaseModel):
    """The fields of our own request, each held to its type and range."""

    task: str = "t2v-A14B"
    prompt: Annotated[str, Field(min_length=1, max_length=2000)]
    negative_prompt: Annotated[str | None, Field(max_length=2000)] = None
    size: str | None = None
    frame_num: int | None = None
    fps: Annotated[int | None, Field(ge=1, le=60)] = None
    sample_steps: Annotated[int | None, Field(ge=1, le=100)] = None
    sample_guide_scale: Annotated[float | None, Field(ge=1, le=20)] = None
    sample_shift: Annotated[float | None, Field(ge=1, le=30)] = None
    base_seed: int | None = None


def create_app(broker: str, job: dict[str, Any]) -> FastAPI:
    """The app: one endpoint that sends a task, and one that returns the same dictionary each time."""
    celery = Celery("plain", broker=broker, set_as_current=False)
    celery.conf.task_ignore_result = True

    @celery.task(name="plain.generate")
    def generate(request: dict[str, Any]) -> None:
        """Never run here: no worker listens."""

    app = FastAPI()

    @app.post("/generate/text-to-video", status_code=202)
    def submit(request: Request) -> dict[str, str]:
        return {"id": generate.delay(request.model_dump()).id, "status": "queued"}

    @app.get("/jobs/{job_id}")
    def status(job_id: str) -> dict[str, Any]:
        return {**job, "id": job_id}

    return app


def main() -> None:
    """Serve with the settings that the gateway gives uvicorn."""
    app = create_app(broker_url(os.environ["REDIS_URL"]), sample.view(f"job_{uuid4().hex}"))
    port = int(os.environ["PORT"])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="info", access_log=False, server_header=False)


if __name__ == "__main__":
    main()
