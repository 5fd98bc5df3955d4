"""Holding back a worker whose attempts keep failing for reasons that may lie with its machine.

Without a pause, one broken machine would take one job after another, faster than any healthy one, and use up
the attempts of a whole queue, however long each job waits to be tried again. A machine whose disk is full
takes nothing at all until it has room.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from jobs.disks import NO_DISKS, Disks

_LONGEST_SECONDS = 60.0
_LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Recovery:
    """Counts attempts in a row that ended in a retry, and makes the next claim wait: 2, 4, 8 ... seconds.

    The first one costs nothing. ``is_leaving`` tells whether the worker shuts down, which ends the wait;
    without room on ``disks`` it goes on, and ``tell`` is told so and when that is over.
    """

    def __init__(
        self,
        is_leaving: Callable[[], bool],
        disks: Disks = NO_DISKS,
        wait: Callable[[float], object] = time.sleep,
        tell: Callable[[bool], object] = lambda _: None,
    ) -> None:
        self._is_leaving = is_leaving
        self._disks = disks
        self._wait = wait
        self._tell = tell
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

    @property
    def is_without_room(self) -> bool:
        """Whether a disk of this machine is full."""
        return self._disks.are_full()

    def pause(self) -> bool:
        """Wait that long, and until there is room; whether the worker stays to claim a job."""
        left = self.seconds
        while left > 0 and not self._is_leaving():
            self._wait(min(left, _LOOK_SECONDS))
            left -= _LOOK_SECONDS
        if self.is_without_room:
            self._wait_for_room()
        return not self._is_leaving()

    def _wait_for_room(self) -> None:
        self._tell(True)
        _log.error("A disk is full: no job is claimed before it has room. Free: %s", self._disks.free())
        while self.is_without_room:
            if self._is_leaving():
                return
            self._wait(_LOOK_SECONDS)
        self._tell(False)
        _log.info("There is room again. Free: %s", self._disks.free())
