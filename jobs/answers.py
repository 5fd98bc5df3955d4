"""From what Redis answers, times in milliseconds, to the values of ``jobs.state``, times in seconds."""

from __future__ import annotations

import json
from typing import Any

from jobs.line import CLASSES, Place
from jobs.outlook import Outlook, RunningJob, Size, WaitingJob
from jobs.state import ANY_KIND, Attempt, Job, JobError, JobState, Pace, Priority, Progress, Worker


def job_of(answer: list[Any]) -> Job:
    """The record from a script's snapshot: fields, spec, outcome, place in the queue, ended attempts."""
    _, flat, spec, outcome, ahead, attempts = answer
    fields = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    ended = json.loads(outcome) if outcome else {}
    return Job(
        id=fields["id"],
        queue=fields["queue"],
        tenant=fields["tenant"],
        spec=json.loads(spec),
        state=JobState(fields["state"]),
        priority=Priority(fields["priority"]),
        created_at=int(fields["created"]) / 1000,
        started_at=_time(fields, "started"),
        finished_at=_time(fields, "finished"),
        expires_at=_time(fields, "expires"),
        queue_deadline=_time(fields, "deadline"),
        run_deadline=_time(fields, "ends"),
        not_before=_time(fields, "after"),
        cancel_requested_at=_time(fields, "cancel"),
        attempt=int(fields["attempt"]),
        failures=int(fields["failures"]),
        worker=fields.get("worker"),
        lease_expires_at=_time(fields, "lease"),
        attempts=(*map(_attempt, attempts or ()), *_unended(fields)),
        timeout=_time(fields, "timeout"),
        pace_key=fields.get("pace", ANY_KIND),
        ahead=ahead,
        progress=Progress(
            fields.get("stage", ""),
            int(fields.get("step", 0)),
            int(fields["steps"]),
            int(fields.get("preview", 0)),
        ),
        result=ended.get("result"),
        error=_error(ended.get("error")),
        request_id=fields.get("request", ""),
        traceparent=fields.get("trace", ""),
    )


def outlook_of(answer: Any) -> Outlook:
    """What a script told of a queue; lists that are empty come as objects."""
    told = json.loads(answer)
    paces = told["paces"] or []
    return Outlook(
        running=tuple(
            RunningJob(worker, tenant, Size(kind, int(steps)), int(step), int(started) / 1000)
            for tenant, worker, kind, steps, step, started, _ in told["running"]
        ),
        line=tuple(sorted((_waiting(*entry) for entry in told["line"]), key=lambda job: job.place)),
        delayed=tuple(
            _waiting(*entry, job_id, int(after) / 1000) for *entry, after, job_id in told["delayed"]
        ),
        length=told["length"],
        waiting=told["waiting"] or {},
        samples=tuple(Size(kind, int(steps)) for kind, steps in told["samples"]),
        caps=told["caps"] or {},
        paces={kind: pace_of(averages) for kind, averages in zip(paces[::2], paces[1::2], strict=True)},
    )


def _waiting(*told: Any) -> WaitingJob:
    tenant, kind, steps, priority, created, job_id, *after = told
    place = Place(CLASSES.index(priority), int(created) / 1000, job_id, tenant)
    return WaitingJob(place, Size(kind, int(steps)), *after)


def worker_of(name: Any, entry: Any) -> Worker:
    """A worker's entry in the list of those that were heard of."""
    told = json.loads(entry)
    taken = told.get("taken", told["queues"])  # which workers of before do not tell
    return Worker(name.decode(), tuple(told["queues"]), tuple(taken), told["seen"] / 1000)


def pace_of(averages: Any) -> Pace:
    """Two running averages, of a step and of all the rest."""
    per_step, rest = averages.split()
    return Pace(float(per_step) / 1000, float(rest) / 1000)


def _attempt(entry: bytes) -> Attempt:
    told = json.loads(entry)
    error = _error(told.get("error"))
    return Attempt(told["attempt"], told["worker"], told["started"] / 1000, told["ended"] / 1000, error)


def _unended(fields: dict[str, str]) -> list[Attempt]:
    """The attempt that is not in the list: the running one, or the one that completed the job."""
    if fields["state"] not in (JobState.IN_PROGRESS, JobState.COMPLETED):
        return []
    started, finished = int(fields["started"]) / 1000, _time(fields, "finished")
    return [Attempt(int(fields["attempt"]), fields["worker"], started, finished)]


def _error(told: dict[str, str] | None) -> JobError | None:
    return JobError(**told) if told else None


def _time(fields: dict[str, str], name: str) -> float | None:
    return int(fields[name]) / 1000 if name in fields else None
