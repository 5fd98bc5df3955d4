"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.eta import poll_seconds
from api.links import Links
from api.parts import parts_of
from api.present import job_view
from jobs.state import Job


def answer(view: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise once and directly: FastAPI would validate what the types here already guarantee."""
    return Response(view.model_dump_json(), status, headers, media_type="application/json")


def job_answer(
    job: Job, request: Request, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A job as the answer to a request, with the time to ask again unless it is final."""
    view = job_view(job, parts_of(request).load, Links(request))
    pace = {} if job.state.is_final else {"retry-after": str(poll_seconds(view.eta_seconds))}
    return answer(view, status=status, headers={**pace, **(headers or {})})
