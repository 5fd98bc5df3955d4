"""A batch as clients see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from api.batches import BatchId
from api.links import Links
from api.load import Load
from api.present import job_view, percent
from api.schemas import BatchStatus, BatchView
from jobs.state import Job, JobState


def batch_view(batch_id: BatchId, jobs: Sequence[Job], load: Load, links: Links) -> BatchView:
    """A batch with its jobs; those whose records were removed are only counted in ``total``."""
    counts = Counter(job.state for job in jobs)
    return BatchView(
        id=str(batch_id),
        status=_status(counts),
        progress=sum(100 if job.state.is_final else percent(job) for job in jobs) // len(jobs),
        total=batch_id.count,
        counts={state.value: counts[state] for state in JobState},
        jobs=[job_view(job, load, links) for job in jobs],
    )


def _status(counts: Counter[JobState]) -> BatchStatus:
    """One word for all jobs: what they are if they agree, or how far they are."""
    if any(not state.is_final for state in counts):
        return "queued" if set(counts) == {JobState.QUEUED} else "in_progress"
    if set(counts) == {JobState.COMPLETED}:
        return "completed"
    if set(counts) == {JobState.CANCELLED}:
        return "cancelled"
    return "partial" if counts[JobState.COMPLETED] else "failed"
