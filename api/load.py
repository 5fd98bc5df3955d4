"""What estimates are made from: the load of every queue and the store's clock, read about once a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from api.cached import Cached
from api.eta import QueueLoad, eta_seconds
from jobs.errors import StoreUnavailableError
from jobs.state import Job, JobFilter, JobState
from jobs.store import JobStore

FRESH_SECONDS = 1


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The load by queue, and what to add to this machine's clock to get the store's, in seconds."""

    queues: Mapping[str, QueueLoad] = field(default_factory=dict)
    clock_offset: float = 0


class Load:
    """How busy the queues are, up to a second ago. A store that is away makes it unknown, never an error.

    Args:
        store: where it is read from.
        queues: the queues to know about.
        clock: Unix seconds on this machine.
        fresh_seconds: how long a reading is good for.
    """

    def __init__(
        self,
        store: JobStore,
        queues: Iterable[str],
        clock: Callable[[], float] = time.time,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._store = store
        self._queues = tuple(queues)
        self._clock = clock
        self._snapshot = Cached(self._read, fresh_seconds)

    def of(self, queue: str) -> QueueLoad:
        """What is known of one queue."""
        return self._snapshot.get().queues.get(queue, QueueLoad())

    def eta(self, job: Job) -> int | None:
        """Seconds until the job's video is there, or None where that is unknown or past."""
        return None if job.state.is_final else eta_seconds(job, self.of(job.queue), self.now())

    def workers(self) -> dict[str, int]:
        """Live workers by queue."""
        return {queue: self.of(queue).workers for queue in self._queues}

    def now(self) -> float:
        """Unix seconds by the store's clock, without asking it."""
        return self._clock() + self._snapshot.get().clock_offset

    def _read(self) -> _Snapshot:
        try:
            serving = Counter(queue for worker in self._store.workers() for queue in worker.queues)
            queues = {queue: self._load(queue, serving[queue]) for queue in self._queues}
            return _Snapshot(queues, self._store.now() - self._clock())
        except StoreUnavailableError:
            return _Snapshot()

    def _load(self, queue: str, workers: int) -> QueueLoad:
        waiting = self._store.count(JobFilter(queue=queue, state=JobState.QUEUED))
        return QueueLoad(workers, self._store.paces(queue), waiting)
