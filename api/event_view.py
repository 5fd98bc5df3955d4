"""Events as clients see them, in server-sent events and over a WebSocket alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from api.follow import Happening
from api.links import Links
from api.load import Load
from api.names import preview_path
from api.present import job_view, percent
from api.schemas import ErrorView, JobView, View
from jobs.state import FINAL_STATES, Event, Job, JobState, Progress

_STATUSES = frozenset(JobState)


class EventView(View):
    """Something that happened to a job."""

    id: Annotated[
        str | None, Field(description="Send it as Last-Event-ID to go on after it; null for mere news.")
    ]
    type: Annotated[str, Field(description="The status it brought, `progress`, or `cancel_requested`.")]
    at: datetime
    job_id: str
    status: Annotated[JobState, Field(description="Of the job, after the event.")]
    stage: Annotated[str | None, Field(description="What the worker is doing.")]
    step: Annotated[int, Field(description="Denoising steps done by the attempt.")]
    steps: Annotated[int, Field(description="Denoising steps in all.")]
    progress: Annotated[int, Field(ge=0, le=100, description="Percent of steps; 100 only when completed.")]
    queue_position: Annotated[int | None, Field(description="1 is next; null unless it stands in line now.")]
    eta_seconds: Annotated[int | None, Field(description="Until the video is there; null when unknown.")]
    preview_url: Annotated[
        str | None, Field(description="A new picture of what is being made, where one was asked for.")
    ]
    error: Annotated[ErrorView | None, Field(description="What ended the job or its attempt.")]
    job: Annotated[JobView | None, Field(description="The job, in the event that ended it.")]


def event_view(happening: Happening, load: Load, links: Links) -> EventView:
    """An event as clients see it. What only the present knows, such as an ETA, is null for the past."""
    event, job = happening.event, happening.job
    ended, told = event.type in FINAL_STATES, _progress(event, job)
    waits = happening.latest and not ended
    return EventView(
        id=happening.place,
        type=event.type,
        at=datetime.fromtimestamp(event.at, UTC),
        job_id=job.id,
        status=JobState(event.type) if event.type in _STATUSES else JobState.IN_PROGRESS,
        stage=told.stage or None,
        step=told.step,
        steps=told.steps,
        progress=percent(job) if ended else _percent(told),
        queue_position=job.ahead + 1 if waits and job.ahead is not None else None,
        eta_seconds=happening.eta_seconds if waits else None,
        preview_url=links.absolute(preview_path(job.id, told.preview)) if told.preview else None,
        error=ErrorView(**event.data["error"]) if "error" in event.data else None,
        job=job_view(job, load, links) if ended else None,
    )


def _progress(event: Event, job: Job) -> Progress:
    """How far the attempt was: told by progress itself; a transition begins one anew, or ends it."""
    if event.type == "progress":
        told = event.data
        return Progress(told["stage"], told["step"], told["steps"], told.get("preview", 0))
    if event.type in (JobState.QUEUED, JobState.IN_PROGRESS):
        return Progress(steps=job.progress.steps)
    return job.progress


def _percent(told: Progress) -> int:
    return min(99, 100 * told.step // told.steps) if told.steps else 0
