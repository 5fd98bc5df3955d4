"""Asking for videos."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.answer import job_answer
from api.body import read_json
from api.idempotency import PARAMETER, reserved
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.prefer import wait_seconds
from api.schemas import JobView
from api.submission import submit
from wan_models.bodies import TextToVideo

router = APIRouter(prefix="/generate", tags=["generate"], responses=PROBLEMS)

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TextToVideo"}}},
    },
    "parameters": [
        {
            "name": "Prefer",
            "in": "header",
            "schema": {"type": "string"},
            "example": "wait=30",
            "description": "`wait=N`: answer when the job has ended, or after N seconds, at most 60.",
        },
        PARAMETER,
    ],
}
_FINAL: dict[int | str, dict[str, Any]] = {
    200: {
        "model": JobView,
        "description": "The job has ended, while the client waited or long before.",
    }
}


@router.post("/text-to-video", status_code=202, response_model=JobView, responses=_FINAL, openapi_extra=_BODY)
async def text_to_video(request: Request) -> Response:
    """Queue a video made from a prompt."""
    parts = parts_of(request)
    async with reserved(request, parts.store) as reservation:
        body = TextToVideo.model_validate(await read_json(request))
        job = await run_in_threadpool(submit, body, parts, reservation)
    headers = {"location": f"/jobs/{job.id}"}
    seconds = wait_seconds(request.headers.getlist("prefer"))
    if seconds is not None:
        job = await parts.watch.until_final(job, seconds)
        headers["preference-applied"] = "wait"
    return job_answer(job, request, status=200 if job.state.is_final else 202, headers=headers)
