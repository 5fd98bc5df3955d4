"""Values by name that are read again only when they have grown old, without holding up anybody."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from jobs.errors import StoreUnavailableError

T = TypeVar("T")


class Remembered(Generic[T]):
    """What ``read`` returned for each name.

    Once a value has grown old, one caller reads it again, and those that come meanwhile go on with what
    is known: a value is at most as old as ``seconds`` and the time of one reading.

    Args:
        read: fetches the value of a name, called in a thread. None is not remembered.
        seconds: how long a value is good for.
        clock: seconds from any starting point.
    """

    def __init__(
        self, read: Callable[[str], T], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str, tuple[T, float]] = {}

    async def get(self, name: str) -> T:
        """The value of a name.

        Raises:
            StoreUnavailableError: it has to be read, and cannot be.
        """
        known = self._known.get(name)
        if known and self._clock() < known[1]:
            return known[0]
        if known:
            self.put(name, known[0])
        try:
            value = await run_in_threadpool(self._read, name)
        except StoreUnavailableError:
            self._known.pop(name, None)
            raise
        self.put(name, value)
        return value

    def put(self, name: str, value: T) -> None:
        """Know better than what was read."""
        if value is None:
            self._known.pop(name, None)
        else:
            self._known[name] = (value, self._clock() + self._seconds)
