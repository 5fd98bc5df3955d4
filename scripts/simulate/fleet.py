"""A fleet on a simulated clock: the order of the queues is the service's own, only the time is made up."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from jobs.line import Line, Place

Draw = Callable[[random.Random], float]
"""Draws a duration in seconds."""

_EVERYONE: Callable[[str], bool] = lambda _tenant: True  # noqa: E731 - one function for a million calls


def exponential(mean: float) -> Draw:
    """Durations without memory: the M of M/M/c."""
    return lambda chance: chance.expovariate(1 / mean)


def constant(mean: float) -> Draw:
    """Every job takes the same: the D of M/D/c, and about what one model at one size does."""
    return lambda _chance: mean


def lognormal(mean: float, sigma: float = 1.0) -> Draw:
    """Many short jobs and a few very long ones; ``sigma`` is that of the logarithm."""
    mu = -(sigma**2) / 2
    return lambda chance: mean * chance.lognormvariate(mu, sigma)


SERVICES: Mapping[str, Callable[[float], Draw]] = {
    "exponential": exponential,
    "constant": constant,
    "lognormal": lognormal,
}
"""Shapes of the time that a job takes, by name."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Jobs of one queue: their share of all arrivals, and how long a GPU takes for one."""

    queue: str
    share: float
    service: Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A load and a fleet.

    ``arrival_rate`` is in jobs a second, arriving at random (a Poisson process). ``servers`` has the queues
    that each GPU serves. A GPU that changes to another queue's model first takes ``load_seconds``.
    """

    kinds: Sequence[Kind]
    arrival_rate: float
    servers: Sequence[Sequence[str]]
    jobs: int
    seed: int
    load_seconds: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What happened: waits in seconds from submit to start, by queue; GPU seconds spent; the time it took."""

    waits: dict[str, array[float]] = field(default_factory=dict)
    busy_seconds: float = 0.0
    loading_seconds: float = 0.0
    seconds: float = 0.0


class Gpu:
    """One simulated worker: what it serves, and which model is warm."""

    __slots__ = ("queues", "warm")

    def __init__(self, queues: Sequence[str]) -> None:
        self.queues = list(queues)
        self.warm: str | None = None


class Simulation:
    """Runs one scenario from the first arrival to the end of the last job."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._chance = random.Random(scenario.seed)  # noqa: S311 - a simulation wants repeatable draws
        self._lines = {kind.queue: Line() for kind in scenario.kinds}
        self._services = {kind.queue: kind.service for kind in scenario.kinds}
        self._waiting = dict.fromkeys(self._lines, 0)
        self._idle: dict[str, list[Gpu]] = {queue: [] for queue in self._lines}
        self._ends: list[tuple[float, int, Gpu]] = []
        self._numbers = count()
        self._busy: set[Gpu] = set()
        self._outcome = Outcome({queue: array("d") for queue in self._lines})
        for queues in scenario.servers:
            self._rest(Gpu([queue for queue in queues if queue in self._lines]))

    def run(self) -> Outcome:
        """Run it all. Takes about 10 microseconds a job."""
        now = 0.0
        for now, queue in self._arrivals():
            while self._ends and self._ends[0][0] <= now:
                self._finish()
            self._submit(now, queue)
        while self._ends:
            now = self._finish()
        self._outcome.seconds = now
        return self._outcome

    def _arrivals(self) -> Iterator[tuple[float, str]]:
        scenario, chance = self._scenario, self._chance
        queues = [kind.queue for kind in scenario.kinds]
        shares = [kind.share for kind in scenario.kinds]
        now = 0.0
        for _ in range(scenario.jobs):
            now += chance.expovariate(scenario.arrival_rate)
            yield now, chance.choices(queues, shares)[0] if len(queues) > 1 else queues[0]

    def _submit(self, now: float, queue: str) -> None:
        self._lines[queue].join(Place(0, now, str(next(self._numbers)), ""))
        self._waiting[queue] += 1
        idle = self._idle[queue]
        while idle and idle[-1] in self._busy:
            idle.pop()  # it was idle when it was noted here, and was then taken through another queue
        if idle:
            self._start(idle.pop(), queue, now)

    def _start(self, gpu: Gpu, queue: str, now: float) -> None:
        """Claim the queue's next job, as the worker that gets a message does."""
        line = self._lines[queue]
        place = line.first(_EVERYONE)
        if place is None:
            raise AssertionError(f"Nothing waits in {queue}.")
        line.leave(place)
        self._waiting[queue] -= 1
        self._busy.add(gpu)
        loading = 0.0 if gpu.warm == queue else self._scenario.load_seconds
        service = self._services[queue](self._chance)
        gpu.warm = queue
        outcome = self._outcome
        outcome.waits[queue].append(now - place.since)
        outcome.busy_seconds += service
        outcome.loading_seconds += loading
        heappush(self._ends, (now + loading + service, next(self._numbers), gpu))

    def _finish(self) -> float:
        """The next job ends; its GPU takes turns among the queues it serves, as Celery's worker does."""
        now, _, gpu = heappop(self._ends)
        self._busy.discard(gpu)
        for turn, queue in enumerate(gpu.queues):
            if self._waiting[queue]:
                gpu.queues = gpu.queues[turn + 1 :] + gpu.queues[: turn + 1]
                self._start(gpu, queue, now)
                return now
        self._rest(gpu)
        return now

    def _rest(self, gpu: Gpu) -> None:
        for queue in gpu.queues:
            self._idle[queue].append(gpu)
