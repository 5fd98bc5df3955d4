"""Listing, downloading and deleting finished videos."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.answer import answer
from api.links import Links
from api.names import job_of_video
from api.openapi import DOWNLOAD, PROBLEMS, RANGE
from api.parts import parts_of
from api.present import video_view
from api.query import StrictRoute
from api.refusals import JobActiveError, VideoNotFoundError
from api.routes.jobs import Page, take_page
from api.schemas import VideoPage
from api.tenancy import ClientStore
from api.video import video_response
from jobs.errors import JobNotFoundError
from jobs.state import Job, JobFilter, JobState

router = APIRouter(prefix="/videos", tags=["videos"], responses=PROBLEMS, route_class=StrictRoute)


def _job(filename: str, store: ClientStore) -> Job:
    try:
        return store.get(job_of_video(filename))
    except JobNotFoundError:
        raise VideoNotFoundError(filename) from None


@router.get("", response_model=VideoPage)
def list_videos(page: Annotated[Page, Query()], request: Request) -> Response:
    """Finished videos, newest job first."""
    jobs, following = take_page(
        parts_of(request).store, JobFilter(tenant=page.tenant, state=JobState.COMPLETED), page
    )
    links = Links(request)
    return answer(VideoPage(videos=[video_view(job, links) for job in jobs], next=following))


@router.head("/{filename}", responses=DOWNLOAD, response_class=Response)
@router.get("/{filename}", responses=DOWNLOAD, response_class=Response, openapi_extra=RANGE)
def get_video(filename: str, request: Request) -> Response:
    """Download a video, or one range of its bytes."""
    parts = parts_of(request)
    return video_response(_job(filename, parts.store), parts.artifacts, request.method, request.headers)


@router.delete("/{filename}", status_code=204)
def delete_video(filename: str, request: Request) -> Response:
    """Delete a video and the record of its job."""
    parts = parts_of(request)
    job = _job(filename, parts.store)
    if not job.state.is_final:
        raise JobActiveError(job.id, job.state)
    # The record goes last: as long as it is there, the deletion can be asked for again.
    for artifact in parts.artifacts.find(f"{job.id}/"):
        parts.artifacts.delete(artifact.key)
    parts.store.remove(job.id)
    return Response(status_code=204)
