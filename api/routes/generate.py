"""Asking for videos: one endpoint a kind, each taking JSON or a form, all answering with the same job."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from api.answer import job_answer
from api.completion import completed
from api.idempotency import PARAMETER
from api.inputs.receive import received
from api.openapi import PROBLEMS, body_of
from api.parts import parts_of
from api.prefer import wait_seconds
from api.principal import principal_of
from api.query import StrictRoute
from api.schemas import JobView
from api.submission import submit
from jobs.state import Job
from wan_models.bodies import (
    Animation,
    ImageToVideo,
    SpeechToVideo,
    TextImageToVideo,
    TextToVideo,
    VideoBody,
)

router = APIRouter(prefix="/generate", tags=["generate"], responses=PROBLEMS, route_class=StrictRoute)

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "example": "wait=30",
    "description": "`wait=N`: answer when the job has ended, or after N seconds, at most 60.",
}


def _documented(kind: type[VideoBody]) -> dict[str, Any]:
    final = {"model": JobView, "description": "The job has ended, while the client waited or long before."}
    return {
        "status_code": 202,
        "response_model": JobView,
        "responses": {200: final},
        "openapi_extra": {"requestBody": body_of(kind), "parameters": [_PREFER, PARAMETER]},
    }


@router.post("/text-to-video", **_documented(TextToVideo))
async def text_to_video(request: Request) -> Response:
    """Queue a video made from a prompt."""
    return await _queue(TextToVideo, request)


@router.post("/image-to-video", **_documented(ImageToVideo))
async def image_to_video(request: Request) -> Response:
    """Queue a video that begins with an image."""
    return await _queue(ImageToVideo, request)


@router.post("/text-image-to-video", **_documented(TextImageToVideo))
async def text_image_to_video(request: Request) -> Response:
    """Queue a video made from a prompt, with or without a first frame."""
    return await _queue(TextImageToVideo, request)


@router.post("/speech-to-video", **_documented(SpeechToVideo))
async def speech_to_video(request: Request) -> Response:
    """Queue a video of a portrait that speaks."""
    return await _queue(SpeechToVideo, request)


@router.post("/animation", **_documented(Animation))
async def animation(request: Request) -> Response:
    """Queue a video of a character that moves as a performer does."""
    return await _queue(Animation, request)


async def _queue(kind: type[VideoBody], request: Request) -> Response:
    parts = parts_of(request)
    intake, tenant = parts.intake, principal_of(request).tenant
    async with (
        parts.reservations.of(request, parts.store) as reservation,
        received(kind, request, intake) as (body, files),
    ):
        full = await completed(body, parts)

        def work() -> tuple[Job, Response]:
            job = submit(full, parts, reservation, files=files, as_it_came=body, tenant=tenant)
            return job, _answer(job, request)

        job, answer = await to_thread.run_sync(work, limiter=intake.threads[tenant] if body.given else None)
    seconds = wait_seconds(request.headers.getlist("prefer"))
    if seconds is None:
        return answer
    job = await parts.watch.until_final(job, seconds)
    return await to_thread.run_sync(partial(_answer, job, request, waited=True))


def _answer(job: Job, request: Request, *, waited: bool = False) -> Response:
    """The job as the answer, made in a thread: its ETA may take a look at its queue."""
    headers = {"location": f"/jobs/{job.id}"} | ({"preference-applied": "wait"} if waited else {})
    return job_answer(job, request, status=200 if job.state.is_final else 202, headers=headers)
