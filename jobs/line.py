"""The order in which a queue's jobs are claimed: by class, then by age, past tenants that are at their cap.

The in-memory store and the capacity simulator run on this; ``verbs.lua`` keeps the same order in sorted
sets, and the contract suite holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import NamedTuple

from jobs.state import Priority

CLASSES = tuple(Priority)
"""The classes of a line: those that are claimed first, first."""


class Place(NamedTuple):
    """Where a job stands in line. Places compare as the jobs are claimed: the least is the next.

    ``rank`` is 0 for the class that is claimed first; ``since`` is when the job was created, in Unix seconds.
    """

    rank: int
    since: float
    job_id: str
    tenant: str


class Line:
    """The waiting jobs of one queue. Every operation takes logarithmic time, but for tenants passed over."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Place]] = {}  # a heap for each tenant
        self._heads: list[Place] = []  # a heap of each tenant's first, and of places that were first once
        self._left: set[Place] = set()  # still inside a heap

    def join(self, place: Place) -> None:
        """Stand in line. A job that comes back takes its old place."""
        if place in self._left:
            self._left.remove(place)  # its entry is there yet
        else:
            heappush(self._waiting.setdefault(place.tenant, []), place)
        if self._first_of(place.tenant) == place:
            heappush(self._heads, place)

    def leave(self, place: Place) -> None:
        """Step out of the line, from wherever in it."""
        self._left.add(place)
        if first := self._first_of(place.tenant):
            heappush(self._heads, first)

    def first(self, may_run: Callable[[str], bool]) -> Place | None:
        """The next place whose tenant may run a job, or None. It stays in line."""
        passed_over: list[Place] = []
        found = None
        while self._heads and not found:
            place = self._heads[0]
            if self._first_of(place.tenant) != place:
                heappop(self._heads)  # first once
            elif may_run(place.tenant):
                found = place
            else:
                passed_over.append(heappop(self._heads))
        for place in passed_over:
            heappush(self._heads, place)
        return found

    def _first_of(self, tenant: str) -> Place | None:
        waiting = self._waiting.get(tenant, [])
        while waiting and waiting[0] in self._left:
            self._left.remove(heappop(waiting))
        return waiting[0] if waiting else None
