"""Job records in this process: the reference that the Redis store is held to, and a store for unit tests."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import ceil
from threading import RLock
from typing import Any, NamedTuple

from jobs.errors import (
    GpuTimeSpentError,
    InvalidTransitionError,
    JobNotFoundError,
    KeyReservedError,
    KeyUsedError,
    LeaseLostError,
    QueueFullError,
    TooManyJobsError,
    WaitTooLongError,
)
from jobs.line import CLASSES, Line, Place
from jobs.outlook import EACH, FIRST, RUNS, SAMPLES, TENANTS, Outlook, RunningJob, Size, WaitingJob
from jobs.policy import Caps, Policy
from jobs.state import (
    ANY_KIND,
    NOTES_KEPT,
    TRANSITIONS,
    Attempt,
    Event,
    Job,
    JobError,
    JobFilter,
    JobState,
    Json,
    Lease,
    NewJob,
    Note,
    Pace,
    Progress,
    TenantEvent,
    Transition,
    Worker,
)

_DAY = 24 * 3600
_PROMOTED = 10  # jobs that a claim puts back in line on its way
_PACES = 1000  # kinds of jobs that a queue knows the pace of
_PACE_WEIGHT = 0.2  # of the newest job in the running average of a queue's pace


class _KeyEntry(NamedTuple):
    """What a client's key stands for: reserved while it has no job."""

    ends_at: float
    token: str
    fingerprint: str = ""
    job_id: str | None = None


class MemoryJobStore:
    """The JobStore as plain Python under one lock. ``clock`` gives Unix seconds."""

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy
        self._clock = clock
        self._lock = RLock()
        self._jobs: dict[str, Job] = {}
        self._lines: dict[str, Line] = {}
        self._logs: dict[str, list[Event]] = {}
        self._notes: defaultdict[str, list[Note]] = defaultdict(list)
        self._history: list[tuple[str, str, int]] = []  # tenant, job, number of the event
        self._claims: dict[str, tuple[str | None, Lease]] = {}
        self._ended_by: dict[str, tuple[str, Lease]] = {}
        self._spent: defaultdict[tuple[str, float], float] = defaultdict(float)
        self._paces: dict[tuple[str, str], Pace] = {}
        self._steps: dict[str, list[tuple[int, float]]] = {}
        self._caps: dict[str, Caps] = {}
        self._retentions: dict[str, float] = {}
        self._keys: dict[tuple[str, str], _KeyEntry] = {}
        self._digests: dict[str, str] = {}
        self._results: dict[tuple[str, str], str] = {}
        self._workers: dict[str, Worker] = {}

    def submit(self, new: NewJob) -> Job:
        return self.submit_all([new])[0]

    def submit_all(self, news: Sequence[NewJob]) -> list[Job]:
        first = news[0]
        with self._lock:
            if first.id not in self._jobs:
                if settled := self._settled(first):
                    return [self.get(settled)]
                self._admit(first, len(news))
                self._use_key(first, first.id)
                for new in news:
                    self._digests[new.id] = new.digest
                    self._write("submit", None, Job.queued(new, self.now()), by="submit")
            return [self.get(new.id) for new in news]

    def reserve(self, tenant: str, key: str, token: str) -> None:
        with self._lock:
            entry = self._key(tenant, key)
            if entry and entry.job_id is None and entry.token != token:
                raise KeyReservedError
            if entry is None:
                ends_at = self.now() + self._policy.reservation_seconds
                self._keys[tenant, key] = _KeyEntry(ends_at, token)

    def unreserve(self, tenant: str, key: str, token: str) -> None:
        with self._lock:
            entry = self._key(tenant, key)
            if entry and entry.job_id is None and entry.token == token:
                del self._keys[tenant, key]

    def cancel(self, job_id: str) -> Job:
        with self._lock:
            job = self.get(job_id)
            if job.cancel_requested_at is not None:
                return job
            if job.state.is_final:
                raise InvalidTransitionError(job_id, "cancel", job.state)
            flagged = replace(job, cancel_requested_at=self.now())
            if job.state is JobState.QUEUED:
                return self._write("cancel", job, replace(flagged, state=JobState.CANCELLED), by="cancel")
            self._jobs[job_id] = flagged
            self._emit(job_id, "cancel_requested", by="cancel")
            return flagged

    def remove(self, job_id: str) -> None:
        with self._lock:
            job = self.get(job_id)
            if not job.state.is_final:
                raise InvalidTransitionError(job_id, "remove", job.state)
            del self._jobs[job_id], self._logs[job_id], self._digests[job_id]
            self._notes.pop(job_id, None)

    def claim(self, queue: str, worker: str, nonce: str | None = None) -> Job | None:
        with self._lock:
            if nonce and (again := self._claimed(worker, nonce)):
                return again
            self.promote(_PROMOTED)
            line = self._lines.setdefault(queue, Line())
            while place := line.first(lambda tenant: self._room(tenant, JobState.IN_PROGRESS) != 0):
                job = self._jobs[place.job_id]
                if not self._is_overdue(job):
                    return self._grant(job, worker, nonce)
                self._expire(job)
            return None

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> bool:
        with self._lock:
            job = self._held(lease)
            told = progress or job.progress
            pictured = told.preview not in (0, job.progress.preview)
            if (told.stage, told.step) != (job.progress.stage, job.progress.step) or pictured:
                picture = {"preview": told.preview} if pictured else {}
                self._emit(job.id, "progress", stage=told.stage, step=told.step, steps=told.steps, **picture)
            if told.step != job.progress.step:
                self._steps.setdefault(job.id, []).append((told.step, self.now()))
            told = replace(told, preview=told.preview or job.progress.preview)
            self._jobs[job.id] = replace(job, progress=told, lease_expires_at=self._lease_end())
            return job.cancel_requested_at is not None

    def succeed(self, lease: Lease, result: Json) -> Job:
        with self._lock:
            job = self._held_or_ended("succeed", lease)
            if job.state is not JobState.IN_PROGRESS:
                return job
            if job.cancel_requested_at is None:
                self._learn_pace(job)
                self._results[job.tenant, self._digests[job.id]] = job.id
                job = replace(job, result=json.loads(json.dumps(result)), error=None)
            return self._end_attempt("succeed", job, JobState.COMPLETED)

    def retry(self, lease: Lease, error: JobError, delay: float = 0) -> Job:
        with self._lock:
            job = self._held_or_ended("retry", lease)
            if job.state is not JobState.IN_PROGRESS:
                return job
            after = round(self.now() + delay, 3) if delay > 0 else None
            return self._fail_attempt("retry", replace(job, not_before=after), error)

    def release(self, lease: Lease) -> Job:
        with self._lock:
            job = self._held_or_ended("release", lease)
            return (
                self._end_attempt("release", job, JobState.QUEUED)
                if job.state is JobState.IN_PROGRESS
                else job
            )

    def fail(self, lease: Lease, error: JobError) -> Job:
        with self._lock:
            job = self._held_or_ended("fail", lease)
            if job.state is not JobState.IN_PROGRESS:
                return job
            return self._end_attempt("fail", replace(job, error=error), JobState.FAILED, error)

    def annotate(self, job_id: str, notes: Sequence[Note], sent_at: float) -> None:
        with self._lock:
            if job_id in self._jobs:
                ahead = self.now() - sent_at
                told = [replace(note, at=round(note.at + ahead, 3)) for note in notes]
                self._notes[job_id] = [*self._notes[job_id], *told]
                self._sift_notes(self._jobs[job_id])

    def announce(self, worker: str, queues: Sequence[str], taken: Sequence[str] | None = None) -> None:
        with self._lock:
            taken = queues if taken is None else taken
            self._workers[worker] = Worker(worker, tuple(queues), tuple(taken), self.now())

    def retire(self, worker: str) -> None:
        with self._lock:
            self._workers.pop(worker, None)
            self._claims.pop(worker, None)

    def bury(self) -> None:
        with self._lock:
            heard_of = {worker.name for worker in self.workers()}
            for silent in self._workers.keys() - heard_of:
                self.retire(silent)

    def set_caps(self, tenant: str, caps: Caps | None) -> None:
        with self._lock:
            self._caps.pop(tenant, None)
            if caps:
                self._caps[tenant] = caps

    def set_retention(self, tenant: str, seconds: float | None) -> None:
        with self._lock:
            self._retentions.pop(tenant, None)
            if seconds is not None:
                self._retentions[tenant] = seconds

    def retentions(self) -> Mapping[str, float]:
        with self._lock:
            return dict(self._retentions)

    def rescue(self, limit: int = 100) -> list[Job]:
        with self._lock:
            lapsed = self._due(lambda job: job.lease_expires_at, JobState.IN_PROGRESS)[:limit]
            return [
                self._fail_attempt(
                    "rescue",
                    job,
                    JobError(
                        "worker_lost",
                        f"Worker {job.worker} stopped answering during attempt {job.attempt}.",
                    ),
                )
                for job in lapsed
            ]

    def expire(self, limit: int = 100) -> list[Job]:
        with self._lock:
            return [self._expire(job) for job in self._due(_deadline)[:limit]]

    def promote(self, limit: int = 100) -> list[Job]:
        with self._lock:
            due = self._due(lambda job: job.not_before)[:limit]
            for job in due:
                self._jobs[job.id] = replace(job, not_before=None)
                self._lines[job.queue].join(_place(job))
            return [self.get(job.id) for job in due]

    def claimable(self, queue: str) -> int:
        with self._lock:
            waiting = Counter(job.tenant for job in self._waiting(queue))
            rooms = {tenant: self._room(tenant, JobState.IN_PROGRESS) for tenant in waiting}
            return sum(
                jobs if (room := rooms[tenant]) is None else min(jobs, room)
                for tenant, jobs in waiting.items()
            )

    def outdated(self, limit: int = 100) -> list[str]:
        with self._lock:
            return [job.id for job in self._due(lambda job: job.expires_at)][:limit]

    def get(self, job_id: str) -> Job:
        with self._lock:
            if job_id not in self._jobs:
                raise JobNotFoundError(job_id)
            return self._with_place(self._jobs[job_id])

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        with self._lock:
            self.get(job_id)
            return [event for event in self._logs[job_id] if event.id > after]

    def notes(self, job_id: str) -> list[Note]:
        with self._lock:
            self.get(job_id)
            return list(self._notes[job_id])

    def history(self, tenant: str, after: str = "0-0", limit: int = 100) -> list[TenantEvent]:
        with self._lock:
            begin = int(after.partition("-")[0])
            page = [
                TenantEvent(f"{place}-0", job_id, self._event(job_id, number))
                for place, (whose, job_id, number) in enumerate(self._history[begin:], begin + 1)
                if whose == tenant
            ]
            return page[:limit]

    def history_end(self, tenant: str) -> str:
        with self._lock:
            places = [place for place, (whose, *_) in enumerate(self._history, 1) if whose == tenant]
            return f"{places[-1] if places else 0}-0"

    def find(
        self, which: JobFilter, limit: int = 20, before: str | None = None, *, oldest_first: bool = False
    ) -> list[Job]:
        with self._lock:
            ids = sorted((job.id for job in self._matching(which)), reverse=not oldest_first)
            behind = [job_id for job_id in ids if before is None or (job_id > before) == oldest_first]
            page = [job_id for job_id in behind if job_id != before][:limit]
            return [self.get(job_id) for job_id in page]

    def count(self, which: JobFilter) -> int:
        with self._lock:
            return sum(1 for _ in self._matching(which))

    def spent(self, tenant: str) -> float:
        with self._lock:
            return self._spent[tenant, self.now() // _DAY]

    def finished(self, tenant: str, digest: str) -> Job | None:
        with self._lock:
            done = self._results.get((tenant, digest)) if digest else None
            return self._jobs.get(done) if done else None

    def outlook(self, queue: str) -> Outlook:
        with self._lock:
            line, waiting = self._waiting(queue), Counter(job.tenant for job in self._waiting(queue))
            running = self.find(JobFilter(queue=queue, state=JobState.IN_PROGRESS), RUNS, oldest_first=True)
            delayed = [job for job in self._matching(JobFilter(queue=queue)) if job.not_before is not None]
            front = self._in_front(line)
            told = {job.tenant for job in (*running, *front, *delayed)}
            caps = {tenant: self._caps.get(tenant, self._policy.caps).in_progress for tenant in told}
            return Outlook(
                running=tuple(map(_running, running)),
                line=tuple(map(_waiting_job, front)),
                delayed=tuple(map(_waiting_job, sorted(delayed, key=lambda job: (job.not_before, job.id)))),
                length=len(line),
                waiting={job.tenant: waiting[job.tenant] for job in front},
                samples=tuple(_size(line[rank]) for rank in _sampled(len(line) - FIRST)),
                caps={tenant: most for tenant, most in caps.items() if most is not None},
                paces=self.paces(queue),
            )

    def paces(self, queue: str) -> Mapping[str, Pace]:
        with self._lock:
            return {kind: pace for (of, kind), pace in self._paces.items() if of == queue}

    def workers(self) -> list[Worker]:
        with self._lock:
            heard_since = self.now() - self._policy.worker_silence_seconds
            return sorted(worker for worker in self._workers.values() if worker.seen_at >= heard_since)

    def now(self) -> float:
        return round(self._clock(), 3)

    def ping(self) -> None:
        """A store in this process always answers."""

    def _write(self, verb: str, old: Job | None, new: Job, **data: Any) -> Job:
        """The only place where a state changes."""
        source = old.state if old else None
        if Transition(verb, source, new.state) not in TRANSITIONS:
            raise AssertionError(f"{verb}: no way from {source} to {new.state}")
        now = self.now()
        if new.state.is_final:
            new = replace(
                new,
                finished_at=now,
                expires_at=now + self._retentions.get(new.tenant, self._policy.retention_seconds),
                lease_expires_at=None,
                run_deadline=None,
                not_before=None,
                pace_key=ANY_KIND,
                traceparent="",
                progress=replace(new.progress, stage=""),
                # What its attempts died of is theirs; a job that was cancelled ended as its client wished.
                error=None if new.state is JobState.CANCELLED else new.error,
            )
        self._jobs[new.id] = new
        self._line_up(old, new)
        self._emit(new.id, new.state, **data)
        if new.state.is_final:  # progress has served its purpose; the transitions stay
            self._logs[new.id] = [event for event in self._logs[new.id] if event.type != "progress"]
            self._sift_notes(new)
        return self._with_place(new)

    def _sift_notes(self, job: Job) -> None:
        done = job.state is JobState.COMPLETED
        kept = [note for note in self._notes[job.id] if not done or note.level != "info"]
        self._notes[job.id] = kept[-NOTES_KEPT:]

    def _line_up(self, old: Job | None, new: Job) -> None:
        line = self._lines.setdefault(new.queue, Line())
        if old and _stands_in_line(old):
            line.leave(_place(old))
        if _stands_in_line(new):
            line.join(_place(new))

    def _grant(self, job: Job, worker: str, nonce: str | None) -> Job:
        claimed = replace(
            job,
            state=JobState.IN_PROGRESS,
            worker=worker,
            attempt=job.attempt + 1,
            started_at=self.now(),
            lease_expires_at=self._lease_end(),
            run_deadline=None if job.timeout is None else self.now() + job.timeout,
            attempts=(*job.attempts, Attempt(job.attempt + 1, worker, self.now())),
        )
        self._steps.pop(job.id, None)
        self._claims[worker] = (nonce, claimed.lease)
        return self._write("claim", job, claimed, by="claim", attempt=claimed.attempt, worker=worker)

    def _claimed(self, worker: str, nonce: str) -> Job | None:
        """What the worker claimed last, if this is the same claim again because its answer got lost."""
        known, lease = self._claims.get(worker, (None, None))
        job = self._jobs.get(lease.job_id) if lease and known == nonce else None
        return job if job and job.state is JobState.IN_PROGRESS and job.lease == lease else None

    def _expire(self, job: Job) -> Job:
        """A queued job that nobody took in time expires; a running one that takes too long fails."""
        if job.state is JobState.IN_PROGRESS:
            message = f"Attempt {job.attempt} took longer than the {job.timeout:g} s it was given."
            error = JobError("timeout", message)
            return self._end_attempt("expire", replace(job, error=error), JobState.FAILED, error)
        error = JobError("expired", "No worker took the job before its deadline.")
        expired = replace(job, state=JobState.EXPIRED, error=error)
        return self._write("expire", job, expired, by="expire", error=_told(error))

    def _end_attempt(self, verb: str, job: Job, target: JobState, error: JobError | None = None) -> Job:
        """How an attempt ends, whoever ends it. A cancel that was acknowledged wins over every outcome."""
        self._ended_by[job.id] = (verb, job.lease)
        self._charge(verb, job)
        attempt = replace(job.attempts[-1], ended_at=self.now(), error=error)
        ended = replace(
            job,
            state=JobState.CANCELLED if job.cancel_requested_at is not None else target,
            attempts=(*job.attempts[:-1], attempt),
        )
        if ended.state is JobState.QUEUED:
            ended = replace(
                ended,
                worker=None,
                lease_expires_at=None,
                run_deadline=None,
                started_at=None,
                progress=Progress(steps=job.progress.steps),
            )
        data = {"error": _told(error)} if error else {}
        return self._write(verb, job, ended, by=verb, attempt=job.attempt, worker=job.worker, **data)

    def _fail_attempt(self, verb: str, job: Job, error: JobError) -> Job:
        """After an error that may pass: another attempt while there are any left."""
        job = replace(job, failures=job.failures + 1, error=error)
        left = job.failures < self._policy.max_attempts
        return self._end_attempt(verb, job, JobState.QUEUED if left else JobState.FAILED, error)

    def _held(self, lease: Lease) -> Job:
        job = self.get(lease.job_id)
        if job.state is not JobState.IN_PROGRESS or job.lease != lease:
            raise LeaseLostError(lease.job_id, lease.attempt)
        return job

    def _held_or_ended(self, verb: str, lease: Lease) -> Job:
        """The held job, or the job as it is when this verb already ended this very attempt."""
        job = self.get(lease.job_id)
        if self._ended_by.get(job.id) == (verb, lease) and job.attempt == lease.attempt:
            return job
        return self._held(lease)

    def _emit(self, job_id: str, kind: str, **data: Any) -> None:
        log = self._logs.setdefault(job_id, [])
        log.append(Event(id=log[-1].id + 1 if log else 1, type=str(kind), at=self.now(), data=data))
        if kind != "progress":
            self._history.append((self._jobs[job_id].tenant, job_id, log[-1].id))

    def _event(self, job_id: str, number: int) -> Event | None:
        return next((event for event in self._logs.get(job_id, ()) if event.id == number), None)

    def _settled(self, new: NewJob) -> str | None:
        """The job that a submit was already answered with, or may be answered with at no cost."""
        wanted = new.idempotency
        entry = self._key(new.tenant, wanted.key) if wanted else None
        if wanted and entry and entry.job_id in self._jobs:
            if entry.fingerprint != wanted.fingerprint:
                raise KeyUsedError
            return entry.job_id
        if wanted and entry and entry.job_id is None and entry.token != wanted.token:
            raise KeyReservedError
        done = self.finished(new.tenant, new.digest) if new.reuse else None
        if done is None:
            return None
        self._use_key(new, done.id)
        return done.id

    def _key(self, tenant: str, key: str) -> _KeyEntry | None:
        entry = self._keys.get((tenant, key))
        return entry if entry and entry.ends_at > self.now() else None

    def _use_key(self, new: NewJob, job_id: str) -> None:
        if wanted := new.idempotency:
            ends_at = self.now() + self._policy.key_seconds
            entry = _KeyEntry(ends_at, wanted.token, wanted.fingerprint, job_id)
            self._keys[new.tenant, wanted.key] = entry

    def _admit(self, new: NewJob, count: int) -> None:
        """Refuse so many jobs by a condition of the first."""
        now, most, room = self.now(), new.admission, self._room(new.tenant, JobState.QUEUED)
        if room is not None and room < count:
            raise TooManyJobsError(new.tenant)
        if most.queue_length is not None and len(self._waiting(new.queue)) + count > most.queue_length:
            raise QueueFullError
        if most.ahead is not None and self._ahead(Job.queued(new, now)) + count - 1 > most.ahead:
            raise WaitTooLongError
        if most.gpu_seconds is not None and self.spent(new.tenant) >= most.gpu_seconds:
            raise GpuTimeSpentError(ceil(_DAY - now % _DAY))

    def _ahead(self, job: Job) -> int:
        return sum(_place(other)[:2] <= _place(job)[:2] for other in self._waiting(job.queue))

    def _charge(self, verb: str, job: Job) -> None:
        if verb != "rescue":
            now = self.now()
            self._spent[job.tenant, now // _DAY] += max(0, now - (job.started_at or now))

    def _room(self, tenant: str, state: JobState) -> int | None:
        """How many more of a tenant's jobs may be in a state, or None for any number."""
        caps = self._caps.get(tenant, self._policy.caps)
        most = caps.queued if state is JobState.QUEUED else caps.in_progress
        return None if most is None else max(0, most - self.count(JobFilter(tenant=tenant, state=state)))

    def _learn_pace(self, job: Job) -> None:
        took = self.now() - (job.started_at or 0)
        self._average(job.queue, ANY_KIND, Pace(0, took))
        steps = self._steps.get(job.id)
        if job.pace_key == ANY_KIND or not steps:
            return
        (first, first_at), (last, last_at) = steps[0], steps[-1]
        if last > first:
            per_step = (last_at - first_at) / (last - first)
            rest = max(0.0, took - per_step * (last - first + 1))
            self._average(job.queue, job.pace_key, Pace(per_step, rest))

    def _average(self, queue: str, kind: str, newest: Pace) -> None:
        others = [(of, other) for of, other in self._paces if of == queue and other != ANY_KIND]
        if (queue, kind) not in self._paces and len(others) >= _PACES:
            del self._paces[others[0]]
        known = self._paces.get((queue, kind), newest)
        self._paces[queue, kind] = Pace(
            known.per_step + _PACE_WEIGHT * (newest.per_step - known.per_step),
            known.rest + _PACE_WEIGHT * (newest.rest - known.rest),
        )

    def _with_place(self, job: Job) -> Job:
        if not _stands_in_line(job):
            return replace(job, ahead=None)
        line = self._waiting(job.queue)
        own = [other for other in line if other.tenant == job.tenant]
        room, before = self._room(job.tenant, JobState.IN_PROGRESS), own.index(job)
        held = room is not None and before >= room
        return replace(job, ahead=len(line) - len(own) + before if held else line.index(job))

    def _waiting(self, queue: str) -> list[Job]:
        """The jobs that stand in line, in the order they are taken."""
        return sorted(filter(_stands_in_line, self._matching(JobFilter(queue=queue))), key=_place)

    def _in_front(self, line: list[Job]) -> list[Job]:
        """The jobs that an outlook has in line: the first, and where there are caps some of each tenant."""
        if self._policy.caps.in_progress is None and not self._caps:
            return line[:FIRST]
        own: dict[str, list[Job]] = {}
        for job in line:
            own.setdefault(job.tenant, []).append(job)
        some = {job.id for jobs in islice(own.values(), TENANTS) for job in jobs[:EACH]}
        return [job for rank, job in enumerate(line) if rank < FIRST or job.id in some]

    def _matching(self, which: JobFilter) -> Iterator[Job]:
        for job in self._jobs.values():
            if (
                which.tenant in (None, job.tenant)
                and which.queue in (None, job.queue)
                and which.state in (None, job.state)
            ):
                yield job

    def _due(self, when: Callable[[Job], float | None], state: JobState | None = None) -> list[Job]:
        now = self.now()
        due = [
            (at, job.id)
            for job in self._jobs.values()
            if (at := when(job)) is not None and at <= now and state in (None, job.state)
        ]
        return [self._jobs[job_id] for _, job_id in sorted(due)]

    def _is_overdue(self, job: Job) -> bool:
        deadline = _deadline(job)
        return deadline is not None and deadline <= self.now()

    def _lease_end(self) -> float:
        return self.now() + self._policy.lease_seconds


def _deadline(job: Job) -> float | None:
    """When a job has waited, or runs, for too long. One that ran before has no deadline left to miss."""
    if job.state is JobState.QUEUED:
        return job.queue_deadline if job.attempt == 0 else None
    return job.run_deadline


def _stands_in_line(job: Job) -> bool:
    return job.state is JobState.QUEUED and job.not_before is None


def _size(job: Job) -> Size:
    return Size(job.pace_key, job.progress.steps)


def _running(job: Job) -> RunningJob:
    return RunningJob(job.worker or "", job.tenant, _size(job), job.progress.step, job.started_at or 0)


def _waiting_job(job: Job) -> WaitingJob:
    return WaitingJob(_place(job), _size(job), job.not_before)


def _sampled(behind: int) -> list[int]:
    """The ranks of jobs behind the first ones, evenly spread."""
    count = max(0, min(SAMPLES, behind))
    return [int(FIRST + (sample + 0.5) * behind / count) for sample in range(count)]


def _told(error: JobError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}


def _place(job: Job) -> Place:
    return Place(CLASSES.index(job.priority), job.created_at, job.id, job.tenant)
