"""What the tests of job stores share."""

from typing import Any

from jobs.policy import Policy
from jobs.state import Job, JobError, JobState, NewJob
from jobs.store import JobStore

POLICY = Policy(lease_seconds=30, max_attempts=3, retention_seconds=1000, worker_silence_seconds=60)
QUEUE = "t2v-A14B"
DAY = 24 * 3600
OOM = JobError("out_of_memory", "The GPU ran out of memory.")


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 1_763_000_000.0

    def __call__(self) -> float:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += seconds


def new_job(number: int = 1, **changes) -> NewJob:
    named: dict[str, Any] = {"id": f"job_{number:04}", "queue": QUEUE, "steps": 20}
    return NewJob(**({"spec": {"prompt": "a cat 🐈"}} | named | changes))


def submitted(store: JobStore, number: int = 1, **changes) -> Job:
    return store.submit(new_job(number, **changes))


def claimed(store: JobStore, number: int = 1, worker: str = "w1", **changes) -> Job:
    new = submitted(store, number, **changes)
    job = store.claim(new.queue, worker)
    assert job is not None
    assert job.id == new.id
    return job


def ended(store: JobStore, state: JobState, number: int, **changes) -> Job:
    if state is JobState.EXPIRED:
        submitted(store, number, expires_in=0, **changes)
        return store.expire()[0]
    job = claimed(store, number, **changes)
    if state is JobState.COMPLETED:
        return store.succeed(job.lease, {"artifact": "a.mp4"})
    if state is JobState.FAILED:
        return store.fail(job.lease, OOM)
    store.cancel(job.id)
    return store.release(job.lease)


def kept_seconds(job: Job) -> float:
    assert job.expires_at
    assert job.finished_at
    return job.expires_at - job.finished_at


def log(store: JobStore, job_id: str) -> list[str]:
    return [event.type for event in store.events(job_id)]


def taken(store: JobStore) -> list[int]:
    """The numbers of the jobs in the order that workers take them."""
    order: list[int] = []
    while job := store.claim(QUEUE, "w1"):
        order.append(int(job.id[-4:]))
    return order


LEASE_VERBS = {
    "heartbeat": lambda store, lease: store.heartbeat(lease),
    "succeed": lambda store, lease: store.succeed(lease, {"artifact": "late.mp4"}),
    "retry": lambda store, lease: store.retry(lease, OOM),
    "release": lambda store, lease: store.release(lease),
    "fail": lambda store, lease: store.fail(lease, OOM),
}
