"""Following jobs: everything that happens to one job, or to all of a tenant's, as it happens.

The store's logs are the buffer. Each stream keeps its place in one and nothing else, so that a client
that reads slowly costs no memory, and one that comes back goes on where it was.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from functools import partial

from api.listener import Listener
from api.load import Load
from api.shared import SharedReads
from api.watch import Topic, Watch
from jobs.errors import JobNotFoundError, StoreUnavailableError
from jobs.state import FINAL_STATES, Event, Job, TenantEvent
from jobs.store import JobStore

HEARTBEAT_SECONDS = 15  # proxies commonly cut a connection that is silent for 30 to 60
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a job as a stream tells it.

    ``place`` is where a client goes on after it, None for what is told only while it happens. ``latest``
    says that nothing happened since: ``job``, read at the same time, is the job as the event left it, and
    ``eta_seconds`` holds.
    """

    place: str | None
    event: Event
    job: Job
    latest: bool
    eta_seconds: int | None


class Follow:
    """Streams of happenings. None in a stream is a heartbeat: nothing happened for a while."""

    def __init__(
        self, store: JobStore, watch: Watch, load: Load, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._store = store
        self._watch = watch
        self._load = load
        self._heartbeat_seconds = heartbeat_seconds
        self._reads = SharedReads()

    async def job(self, job_id: str, after: int = 0) -> AsyncGenerator[Happening | None]:
        """One job's events behind the number ``after``, until the one that ends it.

        Raises:
            JobNotFoundError: there is no such job, or it was removed meanwhile.
        """
        with self._watch.listening(Topic.JOB, job_id) as listener:
            while not self._watch.closed:
                listener.taken()  # before the look, so that news during it are not missed
                for happening in await self._log(job_id, listener):
                    if happening.event.id > after:
                        after = happening.event.id
                        yield happening
                    if happening.event.type in FINAL_STATES:
                        return
                if not await listener.wait(self._heartbeat_seconds):
                    yield None

    async def tenant(self, tenant: str, after: str) -> AsyncGenerator[Happening | None]:
        """Events of all of a tenant's jobs behind a place in its history; progress only as it happens."""
        with self._watch.listening(Topic.TENANT, tenant) as listener:
            while not self._watch.closed:
                progressed = listener.taken()
                page = await self._page(tenant, after, listener)
                for entry in page:
                    after = entry.cursor
                    if happening := await self._transition(entry, listener):
                        yield happening
                for job_id in progressed - {entry.job_id for entry in page}:
                    if happening := await self._progress(job_id, listener):
                        yield happening
                if len(page) < _PAGE and not await listener.wait(self._heartbeat_seconds):
                    yield None

    async def _log(self, job_id: str, listener: Listener) -> list[Happening]:
        try:
            return await self._reads.get(job_id, listener.since, partial(self._read_log, job_id))
        except StoreUnavailableError:  # the feed breaks off as well, and its return wakes everybody
            return []

    async def _page(self, tenant: str, after: str, listener: Listener) -> list[TenantEvent]:
        read = partial(self._store.history, tenant, after, _PAGE)
        try:
            return await self._reads.get((tenant, after), listener.since, read)
        except StoreUnavailableError:
            return []

    async def _transition(self, entry: TenantEvent, listener: Listener) -> Happening | None:
        log = await self._known(entry.job_id, listener) if entry.event else []
        found = next((one for one in log if entry.event and one.event.id == entry.event.id), None)
        return replace(found, place=entry.cursor) if found else None

    async def _progress(self, job_id: str, listener: Listener) -> Happening | None:
        log = await self._known(job_id, listener)
        newest = log[-1] if log else None
        if newest is None or newest.event.type != "progress":  # its transition is told from the history
            return None
        return replace(newest, place=None)

    async def _known(self, job_id: str, listener: Listener) -> list[Happening]:
        try:
            return await self._log(job_id, listener)
        except JobNotFoundError:
            return []

    def _read_log(self, job_id: str) -> list[Happening]:
        """The whole log. The job is read after it, so that an event that ends the job comes with its end."""
        events = self._store.events(job_id)
        job = self._store.get(job_id)
        eta = self._load.eta(job)
        return [Happening(str(event.id), event, job, event is events[-1], eta) for event in events]
