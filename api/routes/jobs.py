"""Asking how jobs are doing, and stopping them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field

from api.answer import answer, job_answer
from api.job_log import job_log_view
from api.links import Links
from api.names import JOB_ID_PATTERN, check_job_id
from api.openapi import PROBLEMS
from api.parts import parts_of
from api.present import job_view
from api.query import StrictRoute
from api.refusals import PreviewNotFoundError
from api.schemas import JobLogView, JobPage, JobView
from api.tenancy import ClientStore
from jobs.errors import ArtifactNotFoundError
from jobs.keys import TENANT_PATTERN
from jobs.previews import preview_key
from jobs.state import Job, JobFilter, JobState
from wan_models.catalog import CATALOG

router = APIRouter(prefix="/jobs", tags=["jobs"], responses=PROBLEMS, route_class=StrictRoute)

_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "description": "A JPEG.",
    }
}


def _known_task(task: str) -> str:
    if task not in CATALOG:
        raise ValueError(f"must be one of {', '.join(CATALOG)}")
    return task


class Page(BaseModel, extra="forbid"):
    """Which page of a list: ``before`` is the ``next`` of the page in front of it."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    before: Annotated[str | None, Field(pattern=JOB_ID_PATTERN)] = None
    tenant: Annotated[str | None, Field(pattern=TENANT_PATTERN, description="For admins.")] = None


class JobQuery(Page):
    """Which jobs to list."""

    status: JobState | None = None
    task: Annotated[str, AfterValidator(_known_task)] | None = None


def take_page(store: ClientStore, which: JobFilter, page: Page) -> tuple[list[Job], str | None]:
    """Up to ``limit`` jobs, and the cursor of the next page if there is one."""
    jobs = store.find(which, page.limit + 1, page.before)
    shown = jobs[: page.limit]
    return shown, shown[-1].id if len(jobs) > len(shown) else None


@router.get("", response_model=JobPage)
def list_jobs(query: Annotated[JobQuery, Query()], request: Request) -> Response:
    """Jobs, newest first."""
    parts, links = parts_of(request), Links(request)
    jobs, following = take_page(
        parts.store, JobFilter(tenant=query.tenant, queue=query.task, state=query.status), query
    )
    return answer(JobPage(jobs=[job_view(job, parts.load, links) for job in jobs], next=following))


@router.get("/{job_id}", response_model=JobView)
def get_job(job_id: str, request: Request) -> Response:
    """One job as it is now."""
    return job_answer(parts_of(request).store.get(check_job_id(job_id)), request)


@router.get("/{job_id}/logs", response_model=JobLogView)
def get_job_log(job_id: str, request: Request) -> Response:
    """What happened to a job, in words: its events, and what workers told meanwhile."""
    store = parts_of(request).store
    events, notes = store.events(check_job_id(job_id)), store.notes(job_id)
    return answer(job_log_view(store.get(job_id), events, notes))


@router.get("/{job_id}/previews/{step}", responses=_PICTURE, response_class=Response)
def get_preview(job_id: str, step: Annotated[int, Path(ge=1, le=100_000)], request: Request) -> Response:
    """A small picture of the unfinished video, taken behind a step; events tell which there are."""
    parts = parts_of(request)
    job = parts.store.get(check_job_id(job_id))
    try:
        with parts.artifacts.read(preview_key(job.id, step)) as stream:
            return Response(b"".join(stream), media_type="image/jpeg")
    except ArtifactNotFoundError:
        raise PreviewNotFoundError(job.id, step) from None


@router.post("/{job_id}/cancel", response_model=JobView)
def cancel_job(job_id: str, request: Request) -> Response:
    """Cancel a queued job at once, or have a running one stop at its next step, or when its stage ends."""
    return job_answer(parts_of(request).store.cancel(check_job_id(job_id)), request)
