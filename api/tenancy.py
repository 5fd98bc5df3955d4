"""The job store as one principal may see it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from structlog.contextvars import bound_contextvars

from api.admission import Admissions
from api.origin import Origin
from api.principal import Principal
from api.refusals import ScopeMissingError
from jobs.errors import JobNotFoundError
from jobs.keys import Scope
from jobs.state import Event, Job, JobFilter, NewJob, Note, Pace, TenantEvent
from jobs.store import JobStore

_log = logging.getLogger(__name__)


class TenantStore:
    """Holds jobs back that are not the principal's tenant's: to everybody else they do not exist.

    An admin sees all, and owns what it submits like everybody else.
    """

    def __init__(self, store: JobStore, principal: Principal, origin: Origin, admissions: Admissions) -> None:
        self._store = store
        self._principal = principal
        self._origin = origin
        self._admissions = admissions

    def submit_all(self, news: Sequence[NewJob]) -> list[Job]:
        """See JobStore. The jobs become the tenant's, and are held to its limits, whatever they said."""
        return self._store.submit_all([self._ours(new) for new in news])

    def reserve(self, tenant: str, key: str, token: str) -> None:  # noqa: ARG002 - the port's signature
        """See JobStore. The key is the principal's tenant's, whatever is said."""
        self._store.reserve(self._principal.tenant, key, token)

    def unreserve(self, tenant: str, key: str, token: str) -> None:  # noqa: ARG002 - the port's signature
        """See JobStore. The key is the principal's tenant's, whatever is said."""
        self._store.unreserve(self._principal.tenant, key, token)

    def cancel(self, job_id: str) -> Job:
        """See JobStore."""
        self.get(job_id)
        job = self._store.cancel(job_id)
        with bound_contextvars(job=job.id):
            _log.info("A cancel was asked for, the job is %s", job.state)
        return job

    def remove(self, job_id: str) -> None:
        """See JobStore."""
        self.get(job_id)
        self._store.remove(job_id)

    def get(self, job_id: str) -> Job:
        """See JobStore."""
        job = self._store.get(job_id)
        if job.tenant != self._principal.tenant and not self._principal.may(Scope.ADMIN):
            raise JobNotFoundError(job_id)
        return job

    def events(self, job_id: str, after: int = 0) -> list[Event]:
        """See JobStore."""
        self.get(job_id)
        return self._store.events(job_id, after)

    def notes(self, job_id: str) -> list[Note]:
        """See JobStore."""
        self.get(job_id)
        return self._store.notes(job_id)

    def history(self, tenant: str, after: str = "0-0", limit: int = 100) -> list[TenantEvent]:
        """See JobStore.

        Raises:
            ScopeMissingError: it is another tenant's.
        """
        return self._store.history(self._checked(tenant), after, limit)

    def history_end(self, tenant: str) -> str:
        """See JobStore.

        Raises:
            ScopeMissingError: it is another tenant's.
        """
        return self._store.history_end(self._checked(tenant))

    def find(
        self, which: JobFilter, limit: int = 20, before: str | None = None, *, oldest_first: bool = False
    ) -> list[Job]:
        """See JobStore.

        Raises:
            ScopeMissingError: another tenant is asked for.
        """
        return self._store.find(self._own(which), limit, before, oldest_first=oldest_first)

    def count(self, which: JobFilter) -> int:
        """See JobStore.

        Raises:
            ScopeMissingError: another tenant is asked for.
        """
        return self._store.count(self._own(which))

    def spent(self, tenant: str) -> float:
        """See JobStore.

        Raises:
            ScopeMissingError: it is another tenant's.
        """
        return self._store.spent(self._checked(tenant))

    def finished(self, tenant: str, digest: str) -> Job | None:  # noqa: ARG002 - the port's signature
        """See JobStore. The job is the principal's tenant's, whatever is said."""
        return self._store.finished(self._principal.tenant, digest)

    def paces(self, queue: str) -> Mapping[str, Pace]:
        """See JobStore."""
        return self._store.paces(queue)

    def now(self) -> float:
        """See JobStore."""
        return self._store.now()

    def ping(self) -> None:
        """See JobStore."""
        self._store.ping()

    def _ours(self, new: NewJob) -> NewJob:
        return replace(
            new,
            tenant=self._principal.tenant,
            admission=self._admissions.of(new, self._principal.limits),
            request_id=self._origin.request_id,
            traceparent=self._origin.traceparent,
        )

    def _own(self, which: JobFilter) -> JobFilter:
        if self._principal.may(Scope.ADMIN):
            return which
        return replace(which, tenant=self._checked(which.tenant or self._principal.tenant))

    def _checked(self, tenant: str) -> str:
        if tenant != self._principal.tenant and not self._principal.may(Scope.ADMIN):
            raise ScopeMissingError(Scope.ADMIN)
        return tenant


ClientStore: TypeAlias = JobStore | TenantStore
"""What answers for clients: every job, or one principal's."""
