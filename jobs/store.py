"""The port to the job records. One verb a transition; there is no way to set a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from jobs.outlook import Outlook
from jobs.policy import Caps
from jobs.state import (
    Event,
    Job,
    JobError,
    JobFilter,
    Json,
    Lease,
    NewJob,
    Note,
    Pace,
    Progress,
    TenantEvent,
    Worker,
)


class JobStore(Protocol):
    """Where jobs live. Each verb is atomic and guarded by the expected state; a worker's also by its lease.

    Every method raises StoreUnavailableError when the store cannot be reached. Verbs that take a
    lease raise LeaseLostError when it is no longer held; verbs and reads that take a job id raise
    JobNotFoundError when no record has it.
    """

    # The client's verbs

    def submit(self, new: NewJob) -> Job:
        """Write a queued job; see ``submit_all``."""
        ...

    def submit_all(self, news: Sequence[NewJob]) -> list[Job]:
        """Write queued jobs of one tenant and queue: all of them, or none.

        The first stands for all. Submitting its id again returns the jobs as they are. Submitting its
        idempotency key again returns the job alone that it was used for, and with its ``reuse`` a completed
        job of the same digest is returned in place of new ones: the answer then has another id.

        Raises:
            TooManyJobsError: the tenant has as many jobs queued as it may.
            QueueFullError: the queue holds as many jobs as it may.
            WaitTooLongError: more jobs are in front than it was willing to wait for.
            GpuTimeSpentError: the tenant used up the GPU time of the day.
            KeyUsedError: the idempotency key came with another fingerprint before.
            KeyReservedError: the idempotency key is reserved by another token.
        """
        ...

    def reserve(self, tenant: str, key: str, token: str) -> None:
        """Keep an idempotency key for the request of this token, for a while, unless it was used before.

        Raises:
            KeyReservedError: another token has it.
        """
        ...

    def unreserve(self, tenant: str, key: str, token: str) -> None:
        """Give up an idempotency key that this token reserved and did not use."""
        ...

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job now, or ask the holder of a running one to stop. Idempotent.

        Raises:
            InvalidTransitionError: the job already ended in another final state.
        """
        ...

    def remove(self, job_id: str) -> None:
        """Forget a final job: its record, log and index entries.

        Raises:
            InvalidTransitionError: the job is not final.
        """
        ...

    # The worker's verbs

    def claim(self, queue: str, worker: str, nonce: str | None = None) -> Job | None:
        """Take the next job of a queue under a new lease, or None when there is none to be taken.

        The order is that of ``NewJob``. A worker that repeats its latest claim, because the answer got lost,
        says so with the same ``nonce`` (any word without spaces), and is given the same job.
        """
        ...

    def heartbeat(self, lease: Lease, progress: Progress | None = None) -> bool:
        """Renew the lease, note progress, and learn whether a cancel was requested."""
        ...

    def succeed(self, lease: Lease, result: Json) -> Job:
        """Publish the result and end the job."""
        ...

    def retry(self, lease: Lease, error: JobError, delay: float = 0) -> Job:
        """End the attempt with an error that may pass; the job fails for good when no attempts are left.

        It stands in line for the next one after ``delay`` seconds, where others go on meanwhile.
        """
        ...

    def release(self, lease: Lease) -> Job:
        """Give the job back unfinished, at no cost to its attempts."""
        ...

    def fail(self, lease: Lease, error: JobError) -> Job:
        """End the job with an error that will not pass."""
        ...

    def annotate(self, job_id: str, notes: Sequence[Note], sent_at: float) -> None:
        """Keep what is to be told the owner of a job; of many notes the last ``NOTES_KEPT``.

        Their times go by some machine's clock, and so does ``sent_at``, which is now. No lease is needed, for
        what a lost attempt has to say is worth reading as well. Notes about no job are dropped, and those of
        level ``info`` once the job is completed: its result tells what went well.
        """
        ...

    def announce(self, worker: str, queues: Sequence[str], taken: Sequence[str] | None = None) -> None:
        """Say that a worker is alive, which queues it serves, and which it takes jobs of: None is all."""
        ...

    def retire(self, worker: str) -> None:
        """Say that a worker has gone."""
        ...

    # The operator's verbs

    def set_caps(self, tenant: str, caps: Caps | None) -> None:
        """Give a tenant caps of its own, or with None those of everybody."""
        ...

    def set_retention(self, tenant: str, seconds: float | None) -> None:
        """Say for how many seconds a tenant's jobs are kept that end from now on; None is as everybody's."""
        ...

    def retentions(self) -> Mapping[str, float]:
        """The seconds by tenant, of those whose jobs are not kept as long as everybody's."""
        ...

    # Maintenance: each sweeps at most ``limit`` jobs and is safe to run anywhere, any number of times

    def bury(self) -> None:
        """Forget workers that have not been heard of lately."""
        ...

    def rescue(self, limit: int = 100) -> list[Job]:
        """Return jobs whose lease ran out to their queues, or end them when no attempts are left."""
        ...

    def expire(self, limit: int = 100) -> list[Job]:
        """End queued jobs that waited longer than they were willing to, and attempts that take too long."""
        ...

    def promote(self, limit: int = 100) -> list[Job]:
        """Put jobs back in line whose wait after a failed attempt is over. A claim does so as well."""
        ...

    def claimable(self, queue: str) -> int:
        """How many jobs that stand in line could be claimed now: those of tenants at their cap cannot."""
        ...

    def outdated(self, limit: int = 100) -> list[str]:
        """Ids of final jobs whose retention ran out, oldest first."""
        ...

    # Reads

    def get(self, job_id: str) -> Job:
        """The job as it is now."""
        ...

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """The job's log, oldest first, from the entry behind ``after``."""
        ...

    def notes(self, job_id: str) -> list[Note]:
        """What workers have to tell about a job, oldest first, by the store's clock."""
        ...

    def history(self, tenant: str, after: str = "0-0", limit: int = 100) -> list[TenantEvent]:
        """Events of all of a tenant's jobs but progress, oldest first, from the one behind the cursor.

        Kept are about the last 10,000, for a week after the last of them.
        """
        ...

    def history_end(self, tenant: str) -> str:
        """The cursor of the newest entry of a tenant's history, or ``0-0`` when there is none."""
        ...

    def find(
        self, which: JobFilter, limit: int = 20, before: str | None = None, *, oldest_first: bool = False
    ) -> list[Job]:
        """Matching jobs, newest first or the other way round, from the one behind the id ``before``."""
        ...

    def count(self, which: JobFilter) -> int:
        """How many jobs match."""
        ...

    def spent(self, tenant: str) -> float:
        """Seconds that a tenant's attempts took which ended today (UTC), but for those of lost workers."""
        ...

    def finished(self, tenant: str, digest: str) -> Job | None:
        """The newest completed job of a tenant with this digest, or None: what a reuse is answered with."""
        ...

    def outlook(self, queue: str) -> Outlook:
        """What an estimate of a queue is made from, at a cost that does not grow with the queue."""
        ...

    def paces(self, queue: str) -> Mapping[str, Pace]:
        """How long jobs of this queue take lately, claim to success, by pace key; ``ANY_KIND`` is any job."""
        ...

    def workers(self) -> list[Worker]:
        """Workers heard of lately."""
        ...

    def now(self) -> float:
        """The store's clock, in Unix seconds: the only one that leases and deadlines go by."""
        ...

    def ping(self) -> None:
        """Raise StoreUnavailableError unless the store answers."""
        ...
