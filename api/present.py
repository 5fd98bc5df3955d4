"""From the store's records to what clients see."""

from __future__ import annotations

from datetime import UTC, datetime

from api.links import Links
from api.load import Load
from api.names import preview_path, video_filename, video_path
from api.schemas import AttemptView, ErrorView, JobView, VideoView
from jobs.state import Attempt, Job, JobError, JobState


def job_view(job: Job, load: Load, links: Links) -> JobView:
    """A job as clients see it, in any state."""
    progress, result = job.progress, job.result or {}
    return JobView(
        id=job.id,
        tenant=job.tenant,
        task=job.queue,
        status=job.state,
        progress=percent(job),
        step=progress.step,
        steps=progress.steps,
        stage=progress.stage or None,
        queue_position=None if job.ahead is None else job.ahead + 1,
        eta_seconds=load.eta(job),
        priority=job.priority,
        attempt=job.attempt,
        attempts=[_attempt_view(attempt) for attempt in job.attempts],
        created_at=_utc(job.created_at),
        started_at=_utc_or_none(job.started_at),
        finished_at=_utc_or_none(job.finished_at),
        cancel_requested_at=_utc_or_none(job.cancel_requested_at),
        not_before=_utc_or_none(job.not_before),
        queue_deadline=_utc_or_none(job.queue_deadline),
        timeout=job.timeout,
        expires_at=_utc_or_none(job.expires_at),
        video_path=video_path(job.id),
        video_url=links.absolute(video_path(job.id)) if job.state is JobState.COMPLETED else None,
        preview_url=links.absolute(preview_path(job.id, progress.preview)) if progress.preview else None,
        error=_error_view(job.error),
        warnings=list(job.spec.get("warnings", ())),
        metrics=result.get("metrics"),
        request=dict(job.spec),
    )


def video_view(job: Job, links: Links) -> VideoView:
    """The video of a completed job."""
    if job.result is None or job.finished_at is None or job.expires_at is None:
        raise ValueError(f"Job {job.id} is {job.state}; it has no video.")
    result = job.result
    return VideoView(
        filename=video_filename(job.id),
        job_id=job.id,
        task=job.queue,
        prompt=job.spec["prompt"],
        width=result["width"],
        height=result["height"],
        frames=result["frames"],
        fps=result["fps"],
        size=result["size"],
        sha256=result["sha256"],
        created_at=_utc(job.finished_at),
        expires_at=_utc(job.expires_at),
        video_path=video_path(job.id),
        video_url=links.absolute(video_path(job.id)),
    )


def percent(job: Job) -> int:
    """Progress from 0 to 100 by denoising steps; 100 is kept for a video that is there."""
    if job.state is JobState.COMPLETED:
        return 100
    done, steps = job.progress.step, job.progress.steps
    return min(99, 100 * done // steps) if steps else 0


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt=attempt.number,
        worker=attempt.worker,
        started_at=_utc(attempt.started_at),
        ended_at=_utc_or_none(attempt.ended_at),
        error=_error_view(attempt.error),
    )


def _error_view(error: JobError | None) -> ErrorView | None:
    return ErrorView(code=error.code, message=error.message) if error else None


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _utc_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _utc(seconds)
