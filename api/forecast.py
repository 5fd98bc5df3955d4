"""When jobs will start, as far as the queues, the workers and the caps of one moment tell."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from math import isinf

from api.rehearsal import Rehearsal
from jobs.outlook import Outlook
from jobs.state import Job, Worker

_MOST_AHEAD = 2**20


class Forecast:
    """The answers of a rehearsal.

    Args:
        outlooks: the queues by name.
        workers: those that live.
        now: Unix seconds of the outlooks, by the store's clock.
    """

    def __init__(
        self, outlooks: Mapping[str, Outlook] | None = None, workers: Iterable[Worker] = (), now: float = 0.0
    ) -> None:
        self.now = now
        self._rehearsal = Rehearsal(outlooks or {}, workers, now)
        self._within: dict[tuple[str, float], int | None] = {}

    def start(self, job: Job) -> float | None:
        """Unix seconds at which a queued job starts, or None where nobody can tell.

        One that came since, and is not known, starts behind those ahead of it, or before them when a worker
        has nothing else to do, and no sooner than its tenant's cap has room.
        """
        course = self._rehearsal.courses.get(job.queue)
        if course is None:
            return None
        known = course.starts.get(job.id)
        if known is None:
            ahead = job.ahead or 0
            known = max(course.turn(ahead), self._room(job.tenant, course.newer(ahead)))
        earliest = self.now + known
        return None if isinf(known) else max(earliest, job.not_before or earliest)

    def wait(self, queue: str, ahead: int) -> float | None:
        """Seconds until a job starts behind so many others."""
        course = self._rehearsal.courses.get(queue)
        turn = course.turn(ahead) if course else None
        return None if turn is None or isinf(turn) else turn

    def ahead_within(self, queue: str, seconds: float) -> int | None:
        """Behind how many others a job may stand to start within so many seconds; None if nobody can tell."""
        if (queue, seconds) not in self._within:
            self._within[queue, seconds] = self._most_ahead(queue, seconds)
        return self._within[queue, seconds]

    def _most_ahead(self, queue: str, seconds: float) -> int | None:
        longest = self.wait(queue, _MOST_AHEAD)
        if longest is None or longest <= seconds:
            return None
        late = bisect_right(range(_MOST_AHEAD), seconds, key=lambda ahead: self.wait(queue, ahead) or 0.0)
        return max(0, late - 1)

    def _room(self, tenant: str, newer: int) -> float:
        """When a tenant's cap has room for another job behind so many that are not known either."""
        most = self._rehearsal.caps.get(tenant)
        ends = sorted(self._rehearsal.ends[tenant])
        full = len(ends) + newer - most if most is not None else -1
        return 0.0 if full < 0 or not ends else ends[min(full, len(ends) - 1)]
