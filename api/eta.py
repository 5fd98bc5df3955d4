"""How long a job will still take, and how often to ask: pure functions of its record and its queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from jobs.state import ANY_KIND, Job, JobState, Pace

LONGEST_POLL_SECONDS = 10
POLLS_PER_JOB = 20  # a client that polls as told sees a job about so often until it ends


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What is known of a queue: live workers, how long its jobs take, by pace key, and how many wait."""

    workers: int = 0
    paces: Mapping[str, Pace] = field(default_factory=dict)
    queued: int = 0

    @property
    def pace(self) -> float | None:
        """Seconds that any job takes from claim to success."""
        average = self.paces.get(ANY_KIND)
        return average.rest if average else None

    def seconds(self, job: Job) -> float | None:
        """Seconds that this job takes: by others of its kind and its own steps, or else as long as any."""
        kind = self.paces.get(job.pace_key)
        return kind.seconds(job.progress.steps) if kind else self.pace


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
    own = load.seconds(job)
    if load.pace is None or own is None or not load.workers or job.ahead is None:
        return None
    return load.pace * (job.ahead + 1) / load.workers + own


def _while_running(job: Job, load: QueueLoad, now: float) -> float | None:
    """By its steps that are left; before the first and after the last one by how long such jobs take."""
    elapsed = max(0.0, now - (job.started_at or now))
    done, steps = job.progress.step, job.progress.steps
    if 0 < done < steps:
        kind = load.paces.get(job.pace_key)
        return (steps - done) * (kind.per_step if kind and kind.per_step else elapsed / done)
    whole = load.seconds(job)
    return None if whole is None else whole - elapsed
