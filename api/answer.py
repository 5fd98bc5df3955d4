"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response

from api.eta import poll_seconds
from api.links import Links
from api.parts import Parts
from api.present import job_view
from jobs.state import Job


def answer(view: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialise once and directly: FastAPI would validate what the types here already guarantee."""
    return Response(view.model_dump_json(), status, headers, media_type="application/json")


def job_answer(
    job: Job, parts: Parts, links: Links, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A job as the answer, with the time to ask again unless it is final."""
    view = job_view(job, parts.load, links)
    pace = {} if job.state.is_final else {"retry-after": str(poll_seconds(view.eta_seconds))}
    return answer(view, status=status, headers={**pace, **(headers or {})})
