"""How long a job will still take, and how often to ask: pure functions of its record and its queue."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from jobs.state import Job, JobState

LONGEST_POLL_SECONDS = 10
POLLS_PER_JOB = 20  # a client that polls as told sees a job about so often until it ends


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What is known of a queue: live workers that serve it, and seconds a job takes from claim to success."""

    workers: int = 0
    pace: float | None = None


def eta_seconds(job: Job, load: QueueLoad, now: float) -> int | None:
    """Seconds until the video is there, rounded up, or None where nothing is known.

    Args:
        job: the record.
        load: the load of the job's queue.
        now: Unix seconds by the store's clock, as the record's times are.
    """
    match job.state:
        case JobState.QUEUED:
            seconds = _while_queued(job, load)
        case JobState.IN_PROGRESS:
            seconds = _while_running(job, load, now)
        case _:
            return None
    return None if seconds is None else max(0, ceil(seconds))


def poll_seconds(eta: int | None) -> int:
    """A sensible wait before asking again, for the Retry-After header: 1 to 10 seconds."""
    return min(LONGEST_POLL_SECONDS, max(1, (eta or 0) // POLLS_PER_JOB))


def _while_queued(job: Job, load: QueueLoad) -> float | None:
    """The wait for its turn, then its own run.

    A job that waits finds all W workers busy, so that one of them comes free each pace/W seconds:
    the job at position p starts after p of those.
    """
    if load.pace is None or not load.workers or job.ahead is None:
        return None
    position = job.ahead + 1
    return load.pace * (position / load.workers + 1)


def _while_running(job: Job, load: QueueLoad, now: float) -> float | None:
    """By its own steps; before the first and after the last one (decoding, encoding) by the queue's pace."""
    elapsed = max(0.0, now - (job.started_at or now))
    done, steps = job.progress.step, job.progress.steps
    if 0 < done < steps:
        return elapsed / done * (steps - done)
    return None if load.pace is None else load.pace - elapsed
