"""Job records in Redis, with the inputs and checkpoints of every job that ends gone as soon as it has."""

from __future__ import annotations

import logging

from redis import Redis
from structlog.contextvars import bound_contextvars

from jobs.artifacts import ArtifactStore
from jobs.checkpoints import forget_checkpoints
from jobs.errors import ArtifactStoreUnavailableError
from jobs.facts import facts_of
from jobs.inputs import forget_inputs
from jobs.policy import Policy
from jobs.state import Job, JobError, Json, Lease
from jobs.store_redis import RedisJobStore

_log = logging.getLogger(__name__)


class TidyJobStore(RedisJobStore):
    """The store that every process of the service uses: whoever ends a job, its inputs go with that.

    They are what the client entrusted to us for this one job. So do its checkpoints, which came of them.
    An artifact store that is away is only logged, for the record is written by then; the sweep of the
    maintenance takes them later.
    """

    def __init__(self, redis: Redis, policy: Policy, artifacts: ArtifactStore) -> None:
        super().__init__(redis, policy)
        self._artifacts = artifacts

    def cancel(self, job_id: str) -> Job:
        return self._tidied(super().cancel(job_id))

    def succeed(self, lease: Lease, result: Json) -> Job:
        return self._tidied(super().succeed(lease, result))

    def retry(self, lease: Lease, error: JobError, delay: float = 0) -> Job:
        return self._tidied(super().retry(lease, error, delay))

    def release(self, lease: Lease) -> Job:
        return self._tidied(super().release(lease))

    def fail(self, lease: Lease, error: JobError) -> Job:
        return self._tidied(super().fail(lease, error))

    def rescue(self, limit: int = 100) -> list[Job]:
        return [self._tidied(job) for job in super().rescue(limit)]

    def expire(self, limit: int = 100) -> list[Job]:
        return [self._tidied(job) for job in super().expire(limit)]

    def _tidied(self, job: Job) -> Job:
        if job.state.is_final:
            try:
                forget_inputs(self._artifacts, job)
                if job.attempt:
                    forget_checkpoints(self._artifacts, job.id)
            except ArtifactStoreUnavailableError as error:
                with bound_contextvars(**facts_of(job)):
                    _log.warning("Inputs are left for the sweep: %s", error)
        return job
