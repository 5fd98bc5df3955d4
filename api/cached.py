"""A value that is read again only when it has grown old."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """What ``read`` returned, for up to ``seconds``; safe to share between threads.

    Args:
        read: fetches the value; what it raises reaches the caller, and nothing is kept.
        seconds: how long a value is good for.
        clock: seconds from any starting point.
    """

    def __init__(
        self, read: Callable[[], T], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._kept: tuple[T, float] | None = None

    def get(self) -> T:
        """The value, read now if it is older than allowed. Concurrent callers share one reading."""
        with self._lock:
            if self._kept is None or self._clock() >= self._kept[1]:
                # As old as the end of the reading: whoever waited for a slow one is not to read again.
                self._kept = (self._read(), self._clock() + self._seconds)
            return self._kept[0]
