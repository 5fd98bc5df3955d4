"""Slowing down a worker whose attempts keep failing for reasons that may lie with its machine.

A job that is tried again is claimable at once. Without a pause, one machine with a full disk would take it
again and again, faster than any healthy one, and use up the attempts of a whole queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_LONGEST_SECONDS = 60.0


class Recovery:
    """Counts attempts in a row that ended in a retry, and makes the next claim wait: 2, 4, 8 ... seconds.

    The first one costs nothing. ``is_leaving`` tells whether the worker shuts down, which ends the wait.
    """

    def __init__(self, is_leaving: Callable[[], bool], wait: Callable[[float], object] = time.sleep) -> None:
        self._is_leaving = is_leaving
        self._wait = wait
        self._failures = 0

    def failed(self) -> None:
        """Note an attempt that is to be tried again."""
        self._failures += 1

    def succeeded(self) -> None:
        """Note a run that came through."""
        self._failures = 0

    @property
    def seconds(self) -> float:
        """How long the next claim has to wait."""
        return 0.0 if self._failures < 2 else min(_LONGEST_SECONDS, 2.0 ** (self._failures - 1))  # noqa: PLR2004 - the first is free

    def pause(self) -> None:
        """Wait that long, or until the worker shuts down."""
        give_up_at = time.monotonic() + self.seconds
        while (left := give_up_at - time.monotonic()) > 0 and not self._is_leaving():
            self._wait(min(left, 0.5))
