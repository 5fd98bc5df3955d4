"""The states of a job, the verbs that move it, and the records that describe it. Pure values.

docs/state_machine.md draws this table, and a test holds the drawing to it. The store's
scripts read their guards from the same table, so a transition exists here or nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from re import ASCII
from re import compile as regex
from typing import Any, NamedTuple

from jobs.webhooks import Hook

Json = Mapping[str, Any]
"""A JSON object that this room carries without looking inside."""


DEFAULT_TENANT = "default"
"""Whose jobs are those that nobody else owns."""

_NAME = regex(r"[\w.-]{1,64}", ASCII)
_LONGEST_ORIGIN = 64


class JobState(StrEnum):
    """Where a job is. Each line says who moves it out."""

    QUEUED = "queued"  # a worker's claim, the client's cancel, or the sweep that expires it
    IN_PROGRESS = "in_progress"  # the lease holder, or a sweep once the lease or the job's time ran out
    COMPLETED = "completed"  # final
    FAILED = "failed"  # final
    CANCELLED = "cancelled"  # final
    EXPIRED = "expired"  # final

    @property
    def is_final(self) -> bool:
        """Final states are written once and never left."""
        return self in FINAL_STATES


class Priority(StrEnum):
    """The class of a job within its queue: every high one goes before every normal one, and so on."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})


class Transition(NamedTuple):
    """One arrow of the state diagram. ``source`` is None where the job does not exist yet."""

    verb: str
    source: JobState | None
    target: JobState


_QUEUED, _RUNNING = JobState.QUEUED, JobState.IN_PROGRESS
_DONE, _FAILED, _CANCELLED, _EXPIRED = (
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.EXPIRED,
)

# A cancel that was acknowledged wins over every later outcome of the attempt,
# so each verb that ends an attempt may also end in `cancelled`.
TRANSITIONS: frozenset[Transition] = frozenset(
    {
        Transition("submit", None, _QUEUED),
        Transition("claim", _QUEUED, _RUNNING),
        Transition("heartbeat", _RUNNING, _RUNNING),
        Transition("succeed", _RUNNING, _DONE),
        Transition("succeed", _RUNNING, _CANCELLED),
        Transition("retry", _RUNNING, _QUEUED),
        Transition("retry", _RUNNING, _FAILED),  # no attempts left
        Transition("retry", _RUNNING, _CANCELLED),
        Transition("release", _RUNNING, _QUEUED),
        Transition("release", _RUNNING, _CANCELLED),
        Transition("fail", _RUNNING, _FAILED),
        Transition("fail", _RUNNING, _CANCELLED),
        Transition("cancel", _QUEUED, _CANCELLED),
        Transition("cancel", _RUNNING, _RUNNING),  # raises the flag; the holder stops at its next step
        Transition("expire", _QUEUED, _EXPIRED),
        Transition("expire", _RUNNING, _FAILED),  # the attempt took longer than it may
        Transition("expire", _RUNNING, _CANCELLED),
        Transition("rescue", _RUNNING, _QUEUED),
        Transition("rescue", _RUNNING, _FAILED),  # no attempts left
        Transition("rescue", _RUNNING, _CANCELLED),
    }
)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a job: this worker, on this attempt. The attempt number is the fence."""

    job_id: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt or a job ended badly: a stable code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running attempt is: a stage name (empty before the first), and ``step`` of ``steps``.

    ``preview`` is the step of the newest picture of what is being made, 0 while there is none.
    """

    stage: str = ""
    step: int = 0
    steps: int = 0
    preview: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: its number, who made it, and when. ``ended_at`` is None while it runs."""

    number: int
    worker: str
    started_at: float
    ended_at: float | None = None
    error: JobError | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How long jobs of one kind take, in seconds: for each step, and for all the rest."""

    per_step: float
    rest: float

    def seconds(self, steps: int) -> float:
        """How long a job of so many steps takes."""
        return self.per_step * steps + self.rest


ANY_KIND = ""
"""The pace key under which the average of all jobs of a queue is kept: no time a step, all of it the rest."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's own name for a request, so that a repetition of it is answered with the same job.

    ``fingerprint`` is the same for equal requests, and ``token`` names the try that reserved the key.
    """

    key: str
    fingerprint: str
    token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """When a new job is taken; None is no condition. A repetition of what was taken before always is."""

    queue_length: int | None = None  # while its queue has fewer jobs
    ahead: int | None = None  # while its queue takes no more than so many before it
    gpu_seconds: float | None = None  # while the attempts of its tenant that ended today (UTC) took less


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a client hands in.

    ``spec`` is opaque here; ``expires_in`` is the longest wait in the queue, in seconds. Within its queue
    a job goes before those of a lower ``priority``, and before the later ones of its own. ``timeout`` is how
    long one attempt may take, in seconds. Jobs of one queue and ``pace_key`` take about as long a step.
    Jobs of one ``digest`` have the same result; with ``reuse``, one that is completed stands for this one.
    ``id``, ``queue`` and ``tenant`` become parts of keys: 1 to 64 letters, digits, ``_``, ``.`` or ``-``.
    Ids sort in the order of creation. ``request_id`` and ``traceparent`` (of W3C Trace Context) tell what
    the job came from, in at most 64 characters each. ``hook`` is who wants to hear of it, beside the tenant's
    webhook endpoints.

    Raises:
        ValueError: a name is no such name, or what the job came from is told too long.
    """

    id: str
    queue: str
    spec: Json
    tenant: str = DEFAULT_TENANT
    steps: int = 0
    priority: Priority = Priority.NORMAL
    expires_in: float | None = None
    timeout: float | None = None
    pace_key: str = ANY_KIND
    digest: str = ""
    reuse: bool = False
    idempotency: IdempotencyKey | None = None
    admission: Admission = field(default_factory=Admission)
    request_id: str = ""
    traceparent: str = ""
    hook: Hook | None = None

    def __post_init__(self) -> None:
        for name in (self.id, self.queue, self.tenant):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not 1 to 64 letters, digits, '_', '.' or '-'.")
        if max(len(self.request_id), len(self.traceparent)) > _LONGEST_ORIGIN:
            raise ValueError(f"A request id or a traceparent has at most {_LONGEST_ORIGIN} characters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as its record tells it. Times are Unix seconds by the store's clock."""

    id: str
    queue: str
    tenant: str
    spec: Json
    state: JobState
    priority: Priority = Priority.NORMAL
    created_at: float
    started_at: float | None = None  # the claim of the running or the last attempt
    finished_at: float | None = None  # set if and only if the state is final
    expires_at: float | None = None  # when the record and its artifacts are removed
    queue_deadline: float | None = None  # still queued then: expired
    run_deadline: float | None = None  # still running then: failed
    not_before: float | None = None  # out of line until then, while queued after a failed attempt
    cancel_requested_at: float | None = None
    attempt: int = 0  # claims so far; the fence
    failures: int = 0  # attempts that died or asked for a retry; a release is none
    worker: str | None = None  # holder of the lease while in progress
    lease_expires_at: float | None = None
    attempts: tuple[Attempt, ...] = ()  # oldest first, with the running one
    timeout: float | None = None  # seconds that one attempt may take
    pace_key: str = ANY_KIND  # until it is final
    ahead: int | None = None  # of those in line, how many may start before it; None while it is not
    progress: Progress = field(default_factory=Progress)
    result: Json | None = None  # set if and only if completed
    error: JobError | None = None  # the job's, or the latest failed attempt's
    request_id: str = ""  # of the request that it came from
    traceparent: str = ""  # the same, in the words of W3C Trace Context

    @classmethod
    def queued(cls, new: NewJob, created_at: float, ahead: int | None = None) -> Job:
        """The record of a job that was just submitted."""
        return cls(
            id=new.id,
            queue=new.queue,
            tenant=new.tenant,
            request_id=new.request_id,
            traceparent=new.traceparent,
            spec=new.spec,
            state=JobState.QUEUED,
            priority=new.priority,
            created_at=created_at,
            queue_deadline=None if new.expires_in is None else created_at + new.expires_in,
            timeout=new.timeout,
            pace_key=new.pace_key,
            ahead=ahead,
            progress=Progress(steps=new.steps),
        )

    @property
    def lease(self) -> Lease:
        """The lease this record grants.

        Raises:
            ValueError: nobody holds the job.
        """
        if self.worker is None:
            raise ValueError(f"Job {self.id} is {self.state}; nobody holds a lease on it.")
        return Lease(self.id, self.worker, self.attempt)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's log. ``id`` counts up from 1 within the job; ``at`` is Unix seconds."""

    id: int
    type: str
    at: float
    data: Json


NOTES_KEPT = 50
"""How many notes of a job are kept, the last ones."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a worker tells the owner of a job about an attempt. ``at`` is Unix seconds."""

    at: float
    level: str
    attempt: int
    text: str


@dataclass(frozen=True, slots=True)
class TenantEvent:
    """One entry of a tenant's history. ``event`` is None once the record of its job was removed.

    ``cursor`` is its place: two numbers joined by a dash, which grow from entry to entry.
    """

    cursor: str
    job_id: str
    event: Event | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list or count; None means any."""

    tenant: str | None = None
    queue: str | None = None
    state: JobState | None = None


@dataclass(frozen=True, slots=True, order=True)
class Worker:
    """A worker that said lately that it is alive, the queues it serves, and those that it takes jobs of.

    One that drains, or waits for room on its disk, serves a queue, but takes no further job of it.
    """

    name: str
    queues: tuple[str, ...]
    taken: tuple[str, ...]
    seen_at: float
