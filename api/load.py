"""What estimates are made from: the load of every queue and the store's clock, read about once a second."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from api.cached import Cached
from api.eta import run_seconds, run_seconds_left
from api.forecast import Forecast
from jobs.errors import StoreUnavailableError
from jobs.outlook import Outlook, Size
from jobs.state import ANY_KIND, Job, JobState, Pace
from jobs.store import JobStore

FRESH_SECONDS = 1


@dataclass(frozen=True, slots=True)
class QueueLoad:
    """What is known of a queue: workers that take its jobs, how many wait, how long they take, by kind."""

    workers: int = 0
    queued: int = 0
    paces: Mapping[str, Pace] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The load by queue, what will come of it, and what to add to our clock for the store's, in seconds."""

    queues: Mapping[str, QueueLoad] = field(default_factory=dict)
    forecast: Forecast = field(default_factory=Forecast)
    clock_offset: float = 0

    def of(self, queue: str) -> QueueLoad:
        """The load of one queue, also of one that nobody knows."""
        return self.queues.get(queue, QueueLoad())


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
        return self._snapshot.get().of(queue)

    def eta(self, job: Job) -> int | None:
        """Seconds until the job's video is there, rounded up, or None where that is unknown or past."""
        if job.state.is_final:
            return None
        snapshot = self._snapshot.get()
        now = self._clock() + snapshot.clock_offset
        size, paces = Size(job.pace_key, job.progress.steps), snapshot.of(job.queue).paces
        if job.state is JobState.IN_PROGRESS:
            elapsed = max(0.0, now - (job.started_at or now))
            left = run_seconds_left(size, job.progress.step, elapsed, paces)
        else:
            start, run = snapshot.forecast.start(job), run_seconds(size, paces)
            left = None if start is None or run is None else max(0.0, start - now) + run
        return None if left is None else ceil(left)

    def next_eta(self, queue: str) -> float | None:
        """Seconds until a video would be there that is asked for now, or None where that is unknown."""
        snapshot = self._snapshot.get()
        load = snapshot.of(queue)
        wait, run = snapshot.forecast.wait(queue, load.queued), run_seconds(Size(ANY_KIND, 0), load.paces)
        return None if wait is None or run is None else wait + run

    def ahead_within(self, queue: str, seconds: float) -> int | None:
        """Behind how many others a job may stand to start within so many seconds; None if nobody can tell."""
        return self._snapshot.get().forecast.ahead_within(queue, seconds)

    def workers(self) -> dict[str, int]:
        """Workers that take jobs, by queue."""
        return {queue: self.of(queue).workers for queue in self._queues}

    def _read(self) -> _Snapshot:
        try:
            workers, now = self._store.workers(), self._store.now()
            outlooks = {queue: self._store.outlook(queue) for queue in self._queues}
        except StoreUnavailableError:
            return _Snapshot()
        serving = Counter(queue for worker in workers for queue in worker.taken)
        loads = {queue: _load(outlook, serving[queue]) for queue, outlook in outlooks.items()}
        return _Snapshot(loads, Forecast(outlooks, workers, now), now - self._clock())


def _load(outlook: Outlook, workers: int) -> QueueLoad:
    return QueueLoad(workers, outlook.length + len(outlook.delayed), outlook.paces)
