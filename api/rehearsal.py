"""Playing the next hours through: which worker takes which job when, decided as a claim decides it.

The real order of the line, the caps and the workers' turns among their queues; only how long a job runs is
estimated. Nobody submits or dies meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from heapq import heappop, heappush
from itertools import count
from math import inf

from api.course import Course
from api.eta import run_seconds_left
from jobs.outlook import Outlook, RunningJob, WaitingJob
from jobs.state import Worker

_MOST_EVENTS = 5000


class _Seat:
    """One worker: the queues in the order of its turns, and when it is free."""

    __slots__ = ("free_at", "is_busy", "looked", "queues")

    def __init__(self, queues: Iterable[str]) -> None:
        self.queues = list(queues)
        self.free_at = 0.0
        self.is_busy = True
        self.looked: set[str] = set()

    def has_served(self, queue: str) -> None:
        """The others have their turn now, as Celery's transport has it."""
        if queue in self.queues:
            self.queues = [other for other in self.queues if other != queue] + [queue]


class Rehearsal:
    """Plays through what all queues hold, until every known job has started.

    Args:
        outlooks: the queues by name.
        workers: those that live.
        now: Unix seconds of the outlooks.
    """

    def __init__(self, outlooks: Mapping[str, Outlook], workers: Iterable[Worker], now: float) -> None:
        self._seats = {
            worker.name: _Seat(queue for queue in worker.taken if queue in outlooks) for worker in workers
        }
        serving = Counter(queue for seat in self._seats.values() for queue in seat.queues)
        self.courses = {queue: Course(outlook, serving[queue]) for queue, outlook in outlooks.items()}
        self.caps = {tenant: most for each in outlooks.values() for tenant, most in each.caps.items()}
        self.ends: defaultdict[str, list[float]] = defaultdict(list)
        """When the runs of each tenant end."""
        self._running: Counter[str] = Counter()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._delayed = 0
        self._free: list[_Seat] = []
        self._parked: defaultdict[str, list[_Seat]] = defaultdict(list)  # that found nothing to do, by queue
        self._set_up(outlooks, now)
        self._play()

    def _set_up(self, outlooks: Mapping[str, Outlook], now: float) -> None:
        latest: dict[str, RunningJob] = {}  # a worker may have another one that is only being finished
        for queue, outlook in outlooks.items():
            for job in outlook.running:
                elapsed = max(0.0, now - job.started_at)
                left = run_seconds_left(job.size, job.step, elapsed, outlook.paces)
                end = inf if left is None else left
                self._running[job.tenant] += 1
                self.ends[job.tenant].append(end)
                self.courses[queue].run_until(end)
                self._at(end, partial(self._end_run, job.tenant))
                seat = self._seats.get(job.worker)
                if seat and (job.worker not in latest or latest[job.worker].started_at < job.started_at):
                    latest[job.worker] = job
                    seat.free_at = end
                    seat.has_served(queue)
            for waiting in outlook.delayed:
                self._delayed += 1
                self._at(max(0.0, (waiting.not_before or 0) - now), partial(self._join, queue, waiting))
        for seat in self._seats.values():
            self._at(seat.free_at, partial(self._free.append, seat))

    def _play(self) -> None:
        for _ in range(_MOST_EVENTS):
            if not self._events or self._events[0][0] == inf or not self._is_going_on():
                break
            now = self._events[0][0]
            while self._events and self._events[0][0] <= now:
                heappop(self._events)[2]()
            for seat in self._free:
                self._take(seat, now)
            self._free.clear()
            for queue, course in self.courses.items():
                while course.waiting and self._wake(queue, now):
                    pass
        for course in self.courses.values():
            course.close()
        for seat in sorted(self._seats.values(), key=lambda seat: seat.free_at):
            for queue in seat.queues:
                self._look_in_vain(seat, queue, seat.free_at)

    def _is_going_on(self) -> bool:
        return self._delayed > 0 or any(course.waiting for course in self.courses.values())

    def _wake(self, queue: str, now: float) -> bool:
        """Have a worker look again that found nothing; whether it took a job."""
        parked = self._parked[queue]
        while parked and parked[-1].is_busy:
            parked.pop()  # it was parked at several queues
        return bool(parked) and self._take(parked[-1], now)

    def _take(self, seat: _Seat, now: float) -> bool:
        """Have a worker take its next job, or wait until there is one; whether it took any."""
        for queue in seat.queues:
            course = self.courses[queue]
            job = course.first(self._may_run)
            if job:
                tenant, end = job.place.tenant, course.start(job, now)
                self._running[tenant] += 1
                self.ends[tenant].append(end)
                self._at(end, partial(self._end_run, tenant))
            elif course.is_cut:
                end = now + course.mean  # some job behind those that are known
            else:
                self._look_in_vain(seat, queue, now)
                continue
            seat.free_at, seat.is_busy = end, True
            seat.has_served(queue)
            self._at(end, partial(self._free.append, seat))
            return True
        if seat.is_busy:
            seat.is_busy = False
            for queue in seat.queues:
                self._parked[queue].append(seat)
        return False

    def _look_in_vain(self, seat: _Seat, queue: str, now: float) -> None:
        if queue not in seat.looked and not self.courses[queue].is_cut:
            seat.looked.add(queue)
            self.courses[queue].look_in_vain(now)

    def _may_run(self, tenant: str) -> bool:
        return tenant not in self.caps or self._running[tenant] < self.caps[tenant]

    def _end_run(self, tenant: str) -> None:
        self._running[tenant] -= 1

    def _join(self, queue: str, job: WaitingJob) -> None:
        self._delayed -= 1
        if not self.courses[queue].is_cut:
            self.courses[queue].join(job)

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._numbers), act))
